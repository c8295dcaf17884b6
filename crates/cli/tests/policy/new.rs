//! `safeguard policy new`: a draft that lints but for its slots, and nothing overwritten.

use std::fs;

use serde_json::Value;

use crate::{run, stderr, stdout};

#[test]
fn a_draft_has_no_faults_but_its_slots() {
    let dir = tempfile::tempdir().expect("a folder");
    let output = run(
        dir.path(),
        &[
            "new",
            "game-cheating",
            "--surface",
            "forum posts",
            "--rule",
            "Seeking: asks for a cheat",
            "--rule",
            "Trade: sells cheats",
        ],
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), "policies/game-cheating/policy.md\n");
    assert!(stderr(&output).contains("hint:"));
    let folder = dir.path().join("policies/game-cheating");
    insta::assert_snapshot!(
        "new_policy",
        fs::read_to_string(folder.join("policy.md")).expect("read")
    );
    insta::assert_snapshot!(
        "new_golden",
        fs::read_to_string(folder.join("golden.jsonl")).expect("read")
    );

    let output = run(dir.path(), &["lint", "policies", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let found: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    for finding in found["policies"][0]["findings"].as_array().expect("findings") {
        assert!(["P011", "G006"].map(Value::from).contains(&finding["code"]), "{finding:#}");
    }
}

#[test]
fn nothing_is_overwritten() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::create_dir(dir.path().join("spam")).expect("made");
    fs::write(dir.path().join("spam/golden.jsonl"), "mine").expect("written");
    let output = run(dir.path(), &["new", "spam", "--dir", "."]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("is there already"), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(dir.path().join("spam/golden.jsonl")).expect("read"), "mine");
    assert!(!dir.path().join("spam/policy.md").exists());
}

#[test]
fn what_cannot_be_a_policy_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let cases: [(&[&str], &str); 6] = [
        (&["new", "../spam"], "letters, digits and hyphens"),
        (&["new", ""], "letters, digits and hyphens"),
        (&["new", "404"], "--prefix"),
        (&["new", "spam", "--prefix", "s1"], "capitals"),
        (&["new", "spam", "--rule", "a\n## SAFE"], "one line"),
        (&["new", "spam", "--surface", " "], "one line"),
    ];
    for (args, expected) in cases {
        let output = run(dir.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).contains(expected), "{args:?}: {}", stderr(&output));
    }
    assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 0);
}
