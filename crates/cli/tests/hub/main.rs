//! `safeguard model pull | list | info` against a small hub on this machine, with trouble.

#![expect(clippy::unwrap_used, reason = "what a test's own servers and folders do must work")]

mod errors;
mod pull;
mod resume;
mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use server::{Hub, Trouble};
use tempfile::TempDir;

const REPO: &str = "openai/gpt-oss-safeguard-20b";
const FOLDER: &str = "models--openai--gpt-oss-safeguard-20b";
const TOKEN: &str = "hf_a_secret_token";

const SHARD_1: &str = "model-00000-of-00001.safetensors";
const SHARD_2: &str = "model-00001-of-00001.safetensors";

/// A repository as the published ones are, with little in it.
fn repository() -> Vec<(&'static str, Vec<u8>)> {
    let index = json!({ "weight_map": { "a": SHARD_1, "b": SHARD_2 } });
    let bytes = |seed: usize, len: usize| (0..len).map(|i| (i * seed % 251) as u8).collect();
    vec![
        (".gitattributes", b"*.safetensors filter=lfs\n".to_vec()),
        ("LICENSE", b"Apache-2.0\n".to_vec()),
        ("README.md", b"# A model\n".to_vec()),
        ("chat_template.jinja", b"{{ messages }}\n".to_vec()),
        ("config.json", br#"{"model_type": "gpt_oss"}"#.to_vec()),
        ("generation_config.json", b"{}".to_vec()),
        ("metal/model.bin", bytes(3, 100)),
        (SHARD_1, bytes(7, 300_000)),
        (SHARD_2, bytes(11, 200_000)),
        ("model.safetensors.index.json", index.to_string().into_bytes()),
        ("original/config.json", b"{}".to_vec()),
        ("original/model.safetensors", bytes(5, 1000)),
        ("tokenizer.json", b"{}".to_vec()),
        ("tokenizer_config.json", b"{}".to_vec()),
    ]
}

/// A hub, and a home folder whose cache is empty at first.
struct World {
    hub: Hub,
    home: TempDir,
}

/// How a run of the program ended.
struct Run {
    code: i32,
    out: String,
    err: String,
}

impl World {
    fn new(trouble: Trouble) -> World {
        World { hub: Hub::start(&repository(), trouble), home: TempDir::new().unwrap() }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_safeguard"));
        command.env_clear().env("HOME", self.home.path()).env("HF_HOME", self.hf_home());
        command.env("HF_ENDPOINT", &self.hub.endpoint).args(["model"]).args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Run {
        Run::of(self.command(args).output().unwrap())
    }

    fn run_with(&self, vars: &[(&str, &str)], args: &[&str]) -> Run {
        Run::of(self.command(args).envs(vars.iter().copied()).output().unwrap())
    }

    fn hf_home(&self) -> PathBuf {
        self.home.path().join("hf")
    }

    /// The repository's folder in the cache.
    fn dir(&self) -> PathBuf {
        self.hf_home().join("hub").join(FOLDER)
    }

    fn snapshot(&self) -> PathBuf {
        self.dir().join("snapshots").join(server::COMMIT)
    }

    /// Where the first bytes of a large file wait for the rest.
    fn incomplete(&self, file: &str) -> PathBuf {
        let checksum = server::etag(file, &bytes_of(file));
        self.dir().join("blobs").join(format!("{checksum}.incomplete"))
    }

    fn list(&self) -> Value {
        let run = self.run(&["list", "--format", "json"]);
        assert_eq!(run.code, 0, "{}", run.err);
        serde_json::from_str(&run.out).unwrap()
    }

    /// All that the model needs is there, to the byte, and nothing else.
    fn assert_whole(&self) {
        let taken = |name: &str| !name.contains('/') && !name.starts_with('.');
        let expected: Vec<_> = repository().into_iter().filter(|(name, _)| taken(name)).collect();
        assert_eq!(names_in(&self.snapshot()), expected.iter().map(|f| f.0).collect::<Vec<_>>());
        for (name, bytes) in expected {
            assert!(fs::read(self.snapshot().join(name)).unwrap() == bytes, "{name}");
        }
        let left = names_in(&self.dir().join("blobs"));
        assert!(!left.iter().any(|name| name.ends_with(".incomplete")), "{left:?}");
        assert_eq!(fs::read_to_string(self.dir().join("refs/main")).unwrap(), server::COMMIT);
    }
}

impl Run {
    fn of(output: Output) -> Run {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap();
        let run = Run { code, out: text(output.stdout), err: text(output.stderr) };
        assert!(!run.err.contains(TOKEN) && !run.out.contains(TOKEN), "the token is shown");
        assert!(!run.err.contains("signature"), "a signed address is shown: {}", run.err);
        run
    }
}

fn bytes_of(file: &str) -> Vec<u8> {
    repository().into_iter().find(|(name, _)| *name == file).unwrap().1
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
