//! Keys and reviews on the command line, against a service over the same store.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::program::{command, stderr, stdout};
use crate::{Service, client};

const STORE: &str = "sqlite:safeguard.db";

pub(crate) fn safeguard(folder: &Path, args: &[&str]) -> Output {
    command(folder, args).env("SAFEGUARD_STORE", STORE).output().unwrap()
}

/// A new key: its id and its secret.
pub(crate) fn key(folder: &Path, more: &[&str]) -> (String, String) {
    let args = [&["key", "create", "app", "--format", "json"], more].concat();
    let output = safeguard(folder, &args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("only time"), "{}", stderr(&output));
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    (made["id"].as_str().unwrap().to_owned(), made["key"].as_str().unwrap().to_owned())
}

fn classify(service: &Service, key: &str) -> (u16, Value) {
    let request = client().post(format!("{}/v1/classify", service.url)).bearer_auth(key);
    let reply =
        request.json(&json!({ "items": ["cinnabar"], "policies": ["ads"] })).send().unwrap();
    (reply.status().as_u16(), reply.json().unwrap())
}

#[test]
fn a_key_opens_until_it_is_revoked_and_is_shown_once() {
    let folder = tempfile::tempdir().unwrap();
    let (id, secret) = key(folder.path(), &["--scope", "judge", "--items-per-day", "5"]);
    let service = Service::start(folder.path(), &[]);
    assert_eq!(classify(&service, "sg_other").0, 401);
    assert_eq!(classify(&service, &secret).0, 200);
    let listed = safeguard(folder.path(), &["key", "list"]);
    let table = stdout(&listed);
    assert!(table.contains(&id) && table.contains("1 of 5") && table.contains("valid"), "{table}");
    let json = stdout(&safeguard(folder.path(), &["key", "list", "--format", "json"]));
    assert!(!json.contains(&secret[secret.len() - 64..]) && json.contains(&id), "{json}");
    assert_eq!(safeguard(folder.path(), &["key", "revoke", &id]).status.code(), Some(0));
    assert_eq!(classify(&service, &secret).0, 401);
    let listed = stdout(&safeguard(folder.path(), &["key", "list"]));
    assert!(listed.contains("revoked"), "{listed}");
    for (args, word) in [
        (&["key", "create", "app", "--scope", "everything"][..], "judge, read"),
        (&["key", "create", ""], "1 to 200 bytes"),
        (&["key", "create", "app", "--items-per-day", "0"], "0"),
        (&["key", "create", "app", "--expires", "2020-01-01"], "has begun already"),
        (&["key", "revoke", "key_01jd9g3vd8k2m4n6p8q0r2s4t6"], "no key"),
        (&["key", "revoke", &id, "--tenant", "other"], "no key"),
    ] {
        let output = safeguard(folder.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).contains(word), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn what_was_served_is_reviewed_and_becomes_a_golden_case() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &["--keep-content"]);
    let result = classify(&service, "any").1["results"][0].clone();
    let id = result["decision"].as_str().unwrap();
    let review = |args: &[&str]| safeguard(folder.path(), &[&["review"], args].concat());
    let by = ["--reviewer", "ada"];
    let appeal = review(&[&["appeal", id, "--reason", "I sell pigments"], &by[..]].concat());
    assert_eq!(appeal.status.code(), Some(0), "{}", stderr(&appeal));
    let listed = review(&["list"]);
    assert_eq!(listed.status.code(), Some(1), "something waits");
    assert!(stdout(&listed).contains(id) && stdout(&listed).contains("appealed"));
    let right = if result["verdict"]["outcome"] == "violation" { "clear" } else { "violation" };
    let silent = ["overturn", id, "--outcome", right, "--reason", " "];
    let wrong = ["overturn", id, "--outcome", right, "--rule", "ZZ9", "--reason", "x"];
    for args in [&silent[..], &wrong] {
        assert_eq!(review(&[args, &by].concat()).status.code(), Some(2), "{args:?}");
    }
    let overturn = ["overturn", id, "--outcome", right, "--reason", "pigments are no advertising"];
    let overturned = review(&[&overturn[..], &by].concat());
    assert_eq!(overturned.status.code(), Some(0), "{}", stderr(&overturned));
    assert_eq!(review(&["list"]).status.code(), Some(0), "nothing waits");
    let shown = stdout(&review(&["show", id]));
    for word in ["cinnabar", "I sell pigments", "pigments are no advertising", "ada"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    let golden = safeguard(folder.path(), &["audit", "export", "--format", "golden"]);
    let case: Value = serde_json::from_slice(&golden.stdout).unwrap();
    assert_eq!(
        (&case["id"], &case["outcome"], &case["text"]),
        (&id.into(), &right.into(), &"cinnabar".into())
    );
    let url = format!("{}/v1/reviews/golden", service.url);
    assert_eq!(client().get(url).send().unwrap().text().unwrap(), stdout(&golden));
    assert_eq!(safeguard(folder.path(), &["audit", "verify"]).status.code(), Some(0));
    let unknown = ["confirm", "dec_01jd9g3vd8k2m4n6p8q0r2s4t6"];
    assert_eq!(review(&[&unknown[..], &by].concat()).status.code(), Some(2));
}
