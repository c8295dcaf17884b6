//! Pulls that end well, and what is in the cache afterwards.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::server::{self, COMMIT, Hub, Trouble};
use crate::{FOLDER, REPO, Run, SHARD_1, SHARD_2, TOKEN, World, names_in};

#[test]
fn a_pull_fills_the_cache_of_huggingface_hub() {
    let world = World::new(Trouble::default());
    let run = world.run(&["pull", "20b"]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(run.out.trim(), world.snapshot().display().to_string());
    world.assert_whole();
    for file in ["config.json", SHARD_1] {
        let link = fs::read_link(world.snapshot().join(file)).unwrap();
        let checksum = server::etag(file, &crate::bytes_of(file));
        assert_eq!(link, Path::new("../../blobs").join(checksum));
    }
    let paths = world.hub.seen().into_iter().map(|seen| seen.path).collect::<Vec<_>>();
    assert!(!paths.iter().any(|p| p.contains("original") || p.contains("metal")), "{paths:?}");
    let listed = world.list();
    let model = json!({
        "name": REPO,
        "commit": COMMIT,
        "revisions": ["main"],
        "path": world.snapshot(),
        "n_files": 10,
        "n_bytes": listed[0]["n_bytes"],
        "state": "complete",
        "missing": [],
    });
    assert_eq!(listed, json!([model]));
}

#[test]
fn what_is_there_is_not_fetched_again() {
    let world = World::new(Trouble::default());
    assert_eq!(world.run(&["pull", "20b"]).code, 0);
    world.hub.forget();
    let run = world.run(&["pull", "openai/gpt-oss-safeguard-20b@main", "--format", "json"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let pulled: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&pulled["n_fetched_bytes"], &pulled["n_files"]), (&json!(0), &json!(10)));
    assert!(run.err.contains("up to date"), "{}", run.err);
    assert!(
        world
            .hub
            .seen()
            .iter()
            .all(|seen| !seen.to_storage && seen.method != "GET" || seen.path.starts_with("/api/"))
    );
}

#[test]
fn the_token_goes_to_the_hub_and_nowhere_else() {
    let world = World::new(Trouble::default());
    fs::create_dir_all(world.hf_home()).unwrap();
    fs::write(world.hf_home().join("token"), format!("{TOKEN}\n")).unwrap();
    let file = |world: &World| world.run(&["pull", "20b"]);
    let variable = |world: &World| world.run_with(&[("HF_TOKEN", TOKEN)], &["pull", "20b"]);
    for run in [&file as &dyn Fn(&World) -> Run, &variable] {
        let _ = fs::remove_dir_all(world.dir());
        world.hub.forget();
        assert_eq!(run(&world).code, 0);
        let seen = world.hub.seen();
        assert!(seen.iter().any(|seen| seen.to_storage));
        for seen in seen {
            let expected = (!seen.to_storage).then(|| format!("Bearer {TOKEN}"));
            assert_eq!(seen.authorization, expected, "{}", seen.path);
        }
        fs::remove_file(world.hf_home().join("token")).ok();
    }
}

#[test]
fn revisions_are_remembered_by_their_names() {
    let world = World::new(Trouble::default());
    for name in ["20b@v1.0".to_owned(), "20b@refs/pr/3".to_owned(), format!("20b@{COMMIT}")] {
        let run = world.run(&["pull", &name]);
        assert_eq!(run.code, 0, "{}", run.err);
    }
    assert_eq!(world.list()[0]["revisions"], json!(["refs/pr/3", "v1.0"]));
    assert!(world.hub.seen().iter().any(|s| s.path.ends_with("/revision/refs/pr/3")));
}

#[test]
fn without_links_the_snapshot_holds_the_files() {
    let world = World::new(Trouble::default());
    let vars = [("HF_HUB_DISABLE_SYMLINKS", "1")];
    for _ in 0..2 {
        let run = world.run_with(&vars, &["pull", "20b"]);
        assert_eq!(run.code, 0, "{}", run.err);
        world.assert_whole();
    }
    assert!(fs::symlink_metadata(world.snapshot().join(SHARD_1)).unwrap().is_file());
    assert_eq!(world.hub.fetches(SHARD_1).len(), 1);
    assert_eq!(names_in(&world.dir().join("blobs")), Vec::<String>::new());
}

#[test]
fn two_pulls_at_once_fetch_each_file_once() {
    let trouble = Trouble { thinks: Duration::from_millis(300), ..Trouble::default() };
    let world = World::new(trouble);
    let mut other = world.command(&["pull", "20b"]);
    let other = std::thread::spawn(move || Run::of(other.output().unwrap()));
    let run = world.run(&["pull", "20b"]);
    let other = other.join().unwrap();
    assert_eq!((run.code, other.code), (0, 0), "{}\n{}", run.err, other.err);
    world.assert_whole();
    assert_eq!((world.hub.fetches(SHARD_1).len(), world.hub.fetches(SHARD_2).len()), (1, 1));
}

#[test]
fn a_pulled_model_is_described_by_its_name() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/tiny-a");
    let files: Vec<(String, Vec<u8>)> = names_in(&fixture)
        .into_iter()
        .filter(|name| fixture.join(name).is_file())
        .map(|name| (name.clone(), fs::read(fixture.join(name)).unwrap()))
        .collect();
    let files: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let home = tempfile::tempdir().unwrap();
    let world = World { hub: Hub::start(&files, Trouble::default()), home };
    assert_eq!(world.run(&["info", "20b"]).code, 2);
    assert_eq!(world.run(&["pull", "20b"]).code, 0);
    let by_name = world.run(&["info", "20b", "--format", "json"]);
    let by_folder = world.run(&["info", &fixture.display().to_string(), "--format", "json"]);
    assert_eq!((by_name.code, by_folder.code), (0, 0), "{}{}", by_name.err, by_folder.err);
    let parse = |run: &Run| serde_json::from_str::<Value>(&run.out).unwrap();
    let (mut by_name, mut by_folder) = (parse(&by_name), parse(&by_folder));
    assert_eq!(by_name["path"].take(), json!(world.snapshot()));
    by_folder["path"].take();
    assert_eq!(by_name, by_folder);
    assert!(by_name["n_parameters"].as_u64() > by_name["formats"]["BF16"]["n_bytes"].as_u64());
    let text = world.run(&["info", "20b"]).out;
    assert!(text.contains("MXFP4") && text.contains("sliding"), "{text}");
}

#[test]
fn models_of_another_kind_are_counted_and_not_listed() {
    let world = World::new(Trouble::default());
    let run = world.run(&["list"]);
    assert_eq!((run.code, run.out.as_str()), (0, ""));
    assert!(run.err.contains("safeguard model pull 20b"), "{}", run.err);
    let other = world.hf_home().join("hub/models--google--bert/snapshots").join(COMMIT);
    fs::create_dir_all(&other).unwrap();
    fs::write(other.join("config.json"), r#"{"model_type": "bert"}"#).unwrap();
    assert_eq!(world.run(&["pull", "20b"]).code, 0);
    let run = world.run(&["list"]);
    assert!(run.out.contains(REPO) && !run.out.contains("bert"), "{}", run.out);
    assert!(run.err.contains("1 other model"), "{}", run.err);
}

/// The cache as the library sees it whose layout it is. `SAFEGUARD_TEST_PYTHON` names a Python that has the library.
#[test]
fn huggingface_hub_reads_the_cache() {
    let python = std::env::var("SAFEGUARD_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let import = Command::new(&python).args(["-c", "import huggingface_hub"]).output();
    if !import.is_ok_and(|done| done.status.success()) {
        eprintln!("skipped: {python} has no huggingface_hub (pip install huggingface_hub)");
        return;
    }
    let world = World::new(Trouble::default());
    assert_eq!(world.run(&["pull", "20b"]).code, 0);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hub/read_cache.py");
    let python = Command::new(&python)
        .arg(script)
        .args([REPO, COMMIT])
        .env("HF_HOME", world.hf_home())
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&python.stderr).into_owned();
    assert!(python.status.success(), "{err}");
    let read: Value = serde_json::from_slice(&python.stdout).unwrap();
    assert_eq!(read["snapshot"], json!(world.snapshot()), "{FOLDER}");
    assert_eq!(read["files"], json!(names_in(&world.snapshot())));
    assert_eq!(read["warnings"], json!([]));
    assert_eq!(read["revisions"], json!([[COMMIT, ["main"]]]));
}
