//! `safeguard policy lint`: three forms of output, exit codes, fixes.

use std::fs;
use std::path::Path;

use policy::lint::ROWS;
use serde_json::{Value, json};

use crate::{here, root, run, stderr, stdout};

fn lint_json(folder: &Path, args: &[&str]) -> Value {
    let args = [&["lint", "--format", "json"], args].concat();
    serde_json::from_str(&stdout(&run(folder, &args))).expect("JSON")
}

/// A copy of `faulty/` that may be written.
fn copy() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for file in ["policy.md", "golden.jsonl"] {
        fs::copy(here().join("faulty").join(file), dir.path().join(file)).expect("copied");
    }
    dir
}

#[test]
fn findings_are_shown_to_people() {
    let output = run(&here(), &["lint", "faulty"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    insta::assert_snapshot!("text", stdout(&output));
    assert!(!output.stdout.contains(&0x1b), "no colours in a pipe, and none from the file");
}

#[test]
fn findings_are_json() {
    let output = run(&here(), &["lint", "faulty/policy.md", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    insta::assert_snapshot!("json", stdout(&output));
}

#[test]
fn findings_are_sarif() {
    let output = run(&here(), &["lint", "faulty", "--format", "sarif"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let mut log: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let run = &mut log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].take();
    assert_eq!(rules.as_array().map(Vec::len), Some(ROWS.len()));
    for result in run["results"].as_array().expect("results") {
        let index = result["ruleIndex"].as_u64().expect("an index") as usize;
        assert_eq!(rules[index]["id"], result["ruleId"]);
    }
    run["tool"]["driver"]["rules"] = json!([rules[0]]);
    run["tool"]["driver"]["version"] = json!("VERSION");
    insta::assert_snapshot!("sarif", format!("{log:#}"));
}

#[test]
fn shipped_policies_have_no_errors() {
    let output = run(&root(), &["lint", "policies"]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let said = stdout(&output);
    assert!(said.lines().last().is_some_and(|line| line.contains("policies: no errors")), "{said}");
}

#[test]
fn fixes_are_written_once_and_said() {
    let dir = copy();
    let file = dir.path().join("policy.md");
    let before = fs::read_to_string(&file).expect("read");
    let fixed = lint_json(dir.path(), &["--fix", "."])["policies"][0]["fixed"].clone();
    let codes: Vec<_> = fixed.as_array().expect("fixes").iter().map(|fix| &fix["code"]).collect();
    assert_eq!(codes, ["P018", "P004"]);
    let after = fs::read_to_string(&file).expect("read");
    assert!(after.contains("\n- KT2 Theft: offers kettles"), "{after}");
    assert!(
        after.ends_with("\n\n## OUTPUT\nReturn only the JSON object set out under INSTRUCTIONS.\n")
    );
    assert_eq!(after.lines().count(), before.lines().count() + 3);
    let again = lint_json(dir.path(), &["--fix", "policy.md"]);
    assert_eq!(again["policies"][0]["fixed"], json!([]));
    assert_eq!(fs::read_to_string(&file).expect("read"), after);
    assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 2, "nothing is left beside it");
    let text = stdout(&run(copy().path(), &["lint", "--fix", "no-such"]));
    assert_eq!(text, "no policies: no errors, no warnings\n");
}

#[cfg(unix)]
#[test]
fn a_fix_keeps_links_and_permissions() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = copy();
    let file = dir.path().join("policy.md");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("set");
    let links = tempfile::tempdir().expect("a folder");
    symlink(&file, links.path().join("policy.md")).expect("linked");
    let output = run(links.path(), &["lint", "--fix", "policy.md"]);
    assert!(stdout(&output).starts_with("fixed policy.md:"), "{}", stdout(&output));
    assert!(links.path().join("policy.md").is_symlink());
    assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o640);
    assert!(fs::read_to_string(&file).expect("read").contains("## OUTPUT"));
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_linted() {
    let output = run(&here(), &["lint", "no-such.md", "faulty", "faulty/policy.md"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("no-such.md: cannot be read"), "{}", stderr(&output));
    assert!(stdout(&output).contains("\n1 policy: "), "{}", stdout(&output));
    let empty = tempfile::tempdir().expect("a folder");
    let output = run(empty.path(), &["lint", "."]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("holds no policy.md"), "{}", stderr(&output));
    let output = run(&here(), &["lint", "faulty", "--model", "./none"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("hint:"), "{}", stderr(&output));
}

#[test]
fn tokens_are_those_of_the_chosen_vocabulary() {
    let text = "word ".repeat(600) + "unclear\n";
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("policy.md"), text).expect("written");
    let codes = |args: &[&str]| lint_json(dir.path(), args)["n_warnings"].clone();
    assert_eq!(codes(&["policy.md"]), 0);
    let tiny = root().join("crates/model/tests/fixtures/tiny-a");
    assert_eq!(codes(&["policy.md", "--model", tiny.to_str().expect("UTF-8")]), 1, "more tokens");
}
