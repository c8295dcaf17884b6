//! The pages on keys, policies over HTTP and reviews, as readers use them: every `curl` and `safeguard` works as it
//! stands, with the reader's own address, key and ids in the place of the page's.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::keys::safeguard;
use crate::page::{Step, steps};
use crate::program::{stderr, stdout};
use crate::{Service, client};

const POLICIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies");

struct Reader {
    folder: PathBuf,
    /// What the page has, and what the reader has instead.
    swaps: Vec<(String, String)>,
    key: String,
}

impl Reader {
    fn new(folder: &Path) -> Reader {
        Reader { folder: folder.to_owned(), swaps: Vec::new(), key: String::new() }
    }

    fn swap(&mut self, page: &str, own: &str) {
        self.swaps.push((page.to_owned(), own.to_owned()));
    }

    /// The commands of a page, but for those that start the service or set the shell up.
    fn commands(page: &str) -> impl Iterator<Item = String> {
        let file = format!("{}/../../docs/src/guide/{page}", env!("CARGO_MANIFEST_DIR"));
        let steps = steps(&std::fs::read_to_string(file).unwrap());
        steps.into_iter().filter_map(|step| match step {
            Step::Run { command, .. } => {
                let is_set_up =
                    ["export ", "safeguard serve"].iter().any(|it| command.starts_with(it));
                (!is_set_up).then_some(command)
            }
            _ => None,
        })
    }

    /// Runs a command and returns what it prints; it must end well.
    fn run(&self, command: &str) -> String {
        let own = |text: String, (page, own): &(String, String)| text.replace(page, own);
        let command = self.swaps.iter().fold(command.to_owned(), own);
        let command = command.replace("curl ", "curl --silent --fail ");
        let program = Path::new(env!("CARGO_BIN_EXE_safeguard")).parent().unwrap();
        let usual = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("sh");
        shell.args(["-c", &command]).current_dir(&self.folder);
        shell.env("PATH", format!("{}:{usual}", program.display())).env("no_proxy", "127.0.0.1");
        shell.env("SAFEGUARD_STORE", "sqlite:safeguard.db").env("KEY", &self.key);
        let output = shell.env("SAFEGUARD_REVIEWER", "ada").output().unwrap();
        // Something may wait; nothing else ends otherwise than well.
        let good = if command.contains("review list") { 1 } else { 0 };
        let (told, wrong) = (stdout(&output), stderr(&output));
        assert!(output.status.code().is_some_and(|it| it <= good), "{command}\n{told}{wrong}");
        told
    }
}

fn has_curl() -> bool {
    let has = Command::new("curl").arg("--version").output().is_ok();
    if !has {
        eprintln!("SKIPPED: the pages use curl, which is not here");
    }
    has
}

#[test]
fn keys() {
    if !has_curl() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("policies")).unwrap();
    std::fs::copy(format!("{POLICIES}/spam/policy.md"), folder.path().join("policies/spam.md"))
        .unwrap();
    let mut reader = Reader::new(folder.path());
    let mut service = None;
    for command in Reader::commands("keys.md") {
        let told = reader.run(&command);
        if service.is_none() {
            reader.key = told.trim().to_owned();
            let started = Service::start(folder.path(), &[]);
            reader.swap("http://127.0.0.1:8080", &started.url);
            service = Some(started);
        }
        if command.contains("key list") {
            let keys = stdout(&safeguard(folder.path(), &["key", "list", "--format", "json"]));
            let keys: Value = serde_json::from_str(&keys).unwrap();
            reader.swap("key_01jd9g3vd8k2m4n6p8q0r2s4t6", keys[1]["id"].as_str().unwrap());
        }
    }
    let keys = stdout(&safeguard(folder.path(), &["key", "list"]));
    assert!(keys.contains("crawler") && keys.contains("revoked"), "{keys}");
}

#[test]
fn policies_over_http() {
    if !has_curl() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &[]);
    let file = std::fs::read(format!("{POLICIES}/game-cheating/policy.md")).unwrap();
    std::fs::write(folder.path().join("policy.md"), &file).unwrap();
    let put = client().put(format!("{}/v1/policies/resale", service.url));
    let put = put.header("content-type", "text/markdown").body([&file[..], b"\n"].concat());
    let candidate: Value = put.send().unwrap().json().unwrap();
    let mut reader = Reader::new(folder.path());
    reader.swap("http://127.0.0.1:8080", &service.url);
    reader.swap("41d07e", candidate["id"].as_str().unwrap());
    let mut last = String::new();
    for command in Reader::commands("policy-service.md") {
        last = reader.run(&command);
        if command.contains("-X PUT") {
            let stored: Value = serde_json::from_str(&last).unwrap();
            reader.swap("9f2b61c0", &stored["id"].as_str().unwrap()[..8]);
        }
    }
    let report: Value = serde_json::from_str(&last).unwrap();
    assert_eq!(report["candidate"], candidate["id"]);
}

#[test]
fn reviews() {
    if !has_curl() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("policies/game-cheating");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::copy(format!("{POLICIES}/game-cheating/policy.md"), own.join("policy.md")).unwrap();
    let service = Service::start(folder.path(), &["--keep-content"]);
    let item = json!({ "items": ["Ranked account for sale"], "policies": ["game-cheating"] });
    let decided = client().post(format!("{}/v1/classify", service.url)).json(&item).send().unwrap();
    let decided: Value = decided.json().unwrap();
    let result = &decided["results"][0];
    let mut reader = Reader::new(folder.path());
    reader.swap("http://127.0.0.1:8080", &service.url);
    reader.swap("dec_01jd…", result["decision"].as_str().unwrap());
    if result["verdict"]["outcome"] == "clear" {
        // The small model's word; the page overturns the other one.
        reader.swap("--outcome clear --rule CH0", "--outcome violation --rule CH1");
    }
    for command in Reader::commands("reviews.md") {
        reader.run(&command);
    }
    let golden = std::fs::read_to_string(own.join("golden.jsonl")).unwrap();
    assert!(golden.contains("Ranked account for sale"), "{golden}");
}
