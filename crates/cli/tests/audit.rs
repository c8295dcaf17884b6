//! `safeguard audit` as people run it: the built-in model decides, the store keeps, the audit looks.

mod program;

use std::fs;
use std::path::Path;
use std::process::Output;

use program::{command, stderr, stdout};
use serde_json::Value;
use tempfile::TempDir;

const STORE: &str = "sqlite:safeguard.db";
const TEXT: &str = "Ranked account for sale, middleman welcome";
const SETTINGS: &str = r#"
content_date_from = "posted"

[statement]
content_type = ["CONTENT_TYPE_TEXT"]
source_type = "SOURCE_VOLUNTARY"
decision_visibility = ["DECISION_VISIBILITY_CONTENT_REMOVED"]
category = "STATEMENT_CATEGORY_SCAMS_AND_FRAUD"
"#;
const GROUND: &str = r#"
[policies.game-cheating.statement]
decision_ground = "DECISION_GROUND_INCOMPATIBLE_CONTENT"
incompatible_content_ground = "Terms, 4.2 ({label})"
incompatible_content_explanation = "Rule {rules} was violated."
"#;

fn audit(folder: &Path, args: &[&str]) -> Output {
    let mut all = vec!["audit"];
    all.extend_from_slice(args);
    command(folder, &all).env("SAFEGUARD_STORE", STORE).output().expect("the program runs")
}

/// A folder with a store that holds one decision, and its id.
fn decided(more: &[&str]) -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/game-cheating");
    let policy = policy.display().to_string();
    let mut args = vec!["classify", "--policy", &policy, "--store", STORE];
    args.extend_from_slice(&["--meta", "posted=2026-11-20"]);
    if !more.contains(&"--direct") {
        args.extend_from_slice(&["--max-analysis-tokens", "48"]);
    }
    args.extend_from_slice(more);
    args.push(TEXT);
    let output = command(folder.path(), &args).output().expect("the program runs");
    let said = stderr(&output);
    let id = said.split("recorded as ").nth(1).expect("recorded").trim().to_owned();
    (folder, id)
}

#[test]
fn a_kept_decision_is_whole_replayed_exported_and_erased() {
    let (folder, id) = decided(&["--keep-content", "--seed", "7"]);
    let whole = audit(folder.path(), &["verify"]);
    assert_eq!(whole.status.code(), Some(0), "{}", stderr(&whole));
    let head = stdout(&whole).split("head ").nth(1).expect("a head").trim().to_owned();

    let replay = audit(folder.path(), &["replay", &id, "--format", "json"]);
    assert_eq!(replay.status.code(), Some(0), "{}{}", stdout(&replay), stderr(&replay));
    let replay: Value = serde_json::from_slice(&replay.stdout).expect("JSON");
    assert_eq!(
        (&replay["exact"], &replay["fields"]["score"]["same"]),
        (&true.into(), &true.into())
    );

    let plain = audit(folder.path(), &["export"]);
    assert!(stdout(&plain).contains(&id) && !stdout(&plain).contains("middleman"));
    let full = audit(folder.path(), &["export", "--content"]);
    assert!(stdout(&full).contains("middleman"));
    let csv = stdout(&audit(folder.path(), &["export", "--format", "csv"]));
    assert_eq!(csv.lines().count(), 2);
    let none = audit(folder.path(), &["export", "--until", "2020-01-01"]);
    assert_eq!(stdout(&none), "");

    assert_eq!(audit(folder.path(), &["erase", &id]).status.code(), Some(0));
    assert!(!stdout(&audit(folder.path(), &["export", "--content"])).contains("middleman"));
    let gone = audit(folder.path(), &["replay", &id]);
    assert_eq!(gone.status.code(), Some(2));
    assert!(stderr(&gone).contains("hint:"), "{}", stderr(&gone));
    let whole = audit(folder.path(), &["verify", "--head", &head]);
    assert_eq!(whole.status.code(), Some(0), "{}", stdout(&whole));
    let other = format!("1:{}", "0".repeat(64));
    assert_eq!(audit(folder.path(), &["verify", "--head", &other]).status.code(), Some(1));
}

#[test]
fn what_was_scored_directly_is_replayed_directly() {
    let (folder, id) = decided(&["--keep-content", "--seed", "7", "--direct"]);
    let kept = stdout(&audit(folder.path(), &["export"]));
    let kept: Value = serde_json::from_str(kept.lines().next().expect("a decision")).expect("JSON");
    assert!(kept.to_string().contains(r#""direct":true"#), "{kept}");
    let replay = audit(folder.path(), &["replay", &id, "--format", "json"]);
    assert_eq!(replay.status.code(), Some(0), "{}{}", stdout(&replay), stderr(&replay));
    let replay: Value = serde_json::from_slice(&replay.stdout).expect("JSON");
    assert_eq!((&replay["exact"], &replay["fields"]["tokens"]["now"]), (&true.into(), &1.into()));
}

#[test]
fn a_changed_byte_names_its_record() {
    let (folder, id) = decided(&[]);
    let file = folder.path().join("safeguard.db");
    let mut bytes = fs::read(&file).expect("a store");
    let (from, to) = (b"\"source\":\"classify\"", b"\"source\":\"classifx\"");
    let at = bytes.windows(from.len()).position(|window| window == from).expect("a record");
    bytes[at..at + to.len()].copy_from_slice(to);
    fs::write(&file, bytes).expect("written");
    let broken = audit(folder.path(), &["verify"]);
    assert_eq!(broken.status.code(), Some(1), "{}", stderr(&broken));
    assert!(stdout(&broken).contains(&format!("broken at record 1 ({id})")), "{}", stdout(&broken));
}

#[test]
fn a_changed_byte_of_a_policy_names_it() {
    let (folder, _) = decided(&[]);
    let file = folder.path().join("safeguard.db");
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/game-cheating");
    let policy = fs::read(policy.join("policy.md")).expect("a policy");
    let mut bytes = fs::read(&file).expect("a store");
    let at = bytes.windows(40).position(|window| window == &policy[..40]).expect("its text");
    bytes[at] ^= 1;
    fs::write(&file, bytes).expect("written");
    let broken = audit(folder.path(), &["verify", "--format", "json"]);
    assert_eq!(broken.status.code(), Some(1), "{}", stderr(&broken));
    let found: Value = serde_json::from_slice(&broken.stdout).expect("JSON");
    assert_eq!(found["fault"], "the text of the policy was altered");
    assert_eq!(found["policy"].as_str().map(str::len), Some(64), "{found}");
    assert!(stderr(&broken).contains("hint: all records are as they were"), "{}", stderr(&broken));
}

#[test]
fn a_violation_becomes_a_statement_once_all_is_said() {
    // Another outcome of the small model would have no statement.
    let (folder, id) = decided(&["--keep-content", "--seed", "7"]);
    let violations = audit(folder.path(), &["export", "--outcome", "violation"]);
    let is_violation = !violations.stdout.is_empty();
    let export = |settings: &str| {
        fs::write(folder.path().join("dsa.toml"), settings).expect("written");
        audit(folder.path(), &["export", "--format", "dsa", "--dsa-settings", "dsa.toml"])
    };
    let missing = export(SETTINGS);
    assert_eq!(missing.status.code(), Some(i32::from(is_violation)), "{}", stderr(&missing));
    let full = export(&format!("{SETTINGS}{GROUND}"));
    assert_eq!(full.status.code(), Some(0), "{}", stderr(&full));
    if is_violation {
        assert!(stderr(&missing).contains("decision_ground: missing"), "{}", stderr(&missing));
        let body: Value = serde_json::from_slice(&full.stdout).expect("JSON");
        let statement = &body["statements"][0];
        assert_eq!(statement["puid"], id);
        assert_eq!(statement["content_date"], "2026-11-20");
        assert_eq!(statement["automated_decision"], "AUTOMATED_DECISION_FULLY");
        assert!(!full.stdout.windows(9).any(|window| window == b"middleman"));
    }
    for (settings, said) in [
        ("[statement]\ncategory = \"SPAM\"", "not one of its words"),
        ("[statement]\ncolour = \"red\"", "no field of a statement"),
        ("[sentence]\n", "hint:"),
    ] {
        let refused = export(settings);
        assert_eq!(refused.status.code(), Some(2));
        assert!(stderr(&refused).contains(said), "{}", stderr(&refused));
    }
}

#[test]
fn what_cannot_be_done_exits_2_and_makes_no_store() {
    let folder = tempfile::tempdir().expect("a folder");
    for args in [
        &["verify"][..],
        &["export"],
        &["replay", "dec_01jd9g3vd8k2m4n6p8q0r2s4t6"],
        &["erase", "--before", "2026-13-01"],
        &["verify", "--store", "mysql://u:sesame@h/d"],
    ] {
        let output = audit(folder.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!stderr(&output).contains("sesame"), "{}", stderr(&output));
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
}
