//! `safeguard policy show`: what is seen in a policy.

use std::fs;

use serde_json::Value;

use crate::{here, root, run, stderr, stdout};

/// A policy whose four rules have an example or a golden case, but for one.
const FOLDER: &str = "crates/policy/tests/fixtures/lint/P105";

#[test]
fn rules_are_a_table_with_what_tests_them() {
    let output = run(&root(), &["show", FOLDER]);
    assert!(output.status.success(), "{}", stderr(&output));
    insta::assert_snapshot!("show", stdout(&output));
}

#[test]
fn facts_are_json() {
    let output = run(&root(), &["show", &format!("{FOLDER}/policy.md"), "--format", "json"]);
    let facts: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(facts["name"], "P105");
    assert_eq!(facts["rules"].as_array().map(Vec::len), Some(4));
    assert_eq!(facts["rules"][0]["code"], "CH1");
    let (own, all) = (facts["n_tokens"].as_u64(), facts["n_prefix_tokens"].as_u64());
    assert!(own > Some(0) && all > own, "{facts:#}");
    let n_golden: u64 = facts["rules"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|rule| rule["n_golden"].as_u64())
        .sum();
    assert!(n_golden > 0 && Some(n_golden) <= facts["golden"]["n_cases"].as_u64(), "{facts:#}");
}

#[test]
fn the_prompt_is_what_the_model_reads() {
    let output = run(&root(), &["show", "policies/spam", "--prompt"]);
    let prompt = stdout(&output);
    assert!(prompt.starts_with("<|start|>system<|message|>"), "{prompt}");
    let policy = fs::read_to_string(root().join("policies/spam/policy.md")).expect("read");
    assert!(prompt.contains(policy.trim()) && prompt.contains("# Response Formats"));
}

#[test]
fn bad_golden_lines_and_free_text_are_said() {
    let output = run(&here(), &["show", "faulty"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("has 4 fault(s)"), "{}", stderr(&output));
    assert!(!output.stdout.contains(&0x1b) && stdout(&output).contains("\\u{1b}"));
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("polite.md"), "+++\nowner = \"me\"\n+++\nNo insults.\n")
        .expect("written");
    let output = run(dir.path(), &["show", "polite.md"]);
    let said = stdout(&output);
    assert!(
        said.starts_with("polite\n") && said.contains("the whole text") && said.contains("me"),
        "{said}"
    );
    assert_eq!(run(dir.path(), &["show", "none.md"]).status.code(), Some(2));
}
