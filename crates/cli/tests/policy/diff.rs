//! `safeguard policy diff`: the built-in model over a small suite.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use super::{json, n_remembered, run_judge, write_suite};

const OLD: &str = "# Fruit Policy (#FV)\n\n## VIOLATES (violation = 1)\n- FV1 Apples: mentions apples.\n- FV2 Plums: mentions plums.\n\n## SAFE (violation = 0)\n- FV0.a Pears: mentions pears.\n";
/// The same rules with their sides exchanged, one reworded, one gone, one new.
const NEW: &str = "# Fruit Policy (#FV)\n\n## VIOLATES (violation = 1)\n- FV1 Pears: mentions pears.\n- FV3 Grapes: mentions grapes.\n\n## SAFE (violation = 0)\n- FV0.a Apples: mentions apples.\n";
const GOLDEN: &str = concat!(
    "{\"id\":\"f-1\",\"text\":\"an apple a day\",\"outcome\":\"violation\"}\n",
    "{\"id\":\"f-2\",\"text\":\"two pears, please\",\"outcome\":\"clear\"}\n",
    "{\"id\":\"f-3\",\"text\":\"apples for everyone\",\"outcome\":\"violation\"}\n",
    "{\"id\":\"f-4\",\"text\":\"a pear tree\",\"outcome\":\"clear\"}\n",
);

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for (version, text) in [("old", OLD), ("new", NEW)] {
        write_suite(&dir.path().join(version), text, GOLDEN);
    }
    dir
}

fn diff(dir: &Path, versions: [&str; 2], more: &[&str]) -> Output {
    run_judge(dir, &[&["diff"], versions.as_slice(), more].concat())
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array()
        .expect("a list")
        .iter()
        .map(|case| case["id"].as_str().expect("an id"))
        .collect()
}

#[test]
fn flips_are_told_by_direction_and_decide_the_exit_code() {
    let dir = folder();
    let there = diff(dir.path(), ["old", "new"], &["--format", "json"]);
    let back = diff(dir.path(), ["new", "old"], &["--format", "json"]);
    let (forth, reverse) = (json(&there), json(&back));
    assert_eq!(
        ids(&forth["broken"]),
        ids(&reverse["fixed"]),
        "what one way breaks, the other mends"
    );
    assert_eq!(ids(&forth["fixed"]), ids(&reverse["broken"]));
    assert_eq!(forth["p_value"], reverse["p_value"]);
    for (output, report) in [(&there, &forth), (&back, &reverse)] {
        let n_broken = ids(&report["broken"]).len();
        assert_eq!(output.status.code(), Some(i32::from(n_broken > 0)));
    }
    let n_flips = ids(&forth["broken"]).len() + ids(&forth["fixed"]).len();
    assert!(n_flips > 0, "exchanging the sides turns some answer over");
    let allowed = diff(dir.path(), ["old", "new"], &["--allow-regressions", "4"]);
    assert_eq!(allowed.status.code(), Some(0));
}

#[test]
fn rules_are_compared_by_code() {
    let dir = folder();
    let report = json(&diff(dir.path(), ["old", "new"], &["--format", "json"]));
    let changes: Vec<&str> = report["rules"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|rule| rule["change"].as_str().expect("a kind"))
        .collect();
    assert_eq!(changes, ["reworded", "removed", "reworded", "added"]);
    let shown = diff(dir.path(), ["old", "new"], &[]);
    let text = String::from_utf8_lossy(&shown.stdout);
    for part in ["McNemar", "precision", "recall"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Nobody needs colours to see what is old and what is new.
    let rules: Vec<&str> = text.lines().skip(1).take(5).collect();
    let expected = [
        "  ~ FV1 [-Apples-]{+Pears+}: mentions [-apples-]{+pears+}.",
        "  - FV2 Plums: mentions plums. (violating)",
        "  ~ FV0.a [-Pears-]{+Apples+}: mentions [-pears-]{+apples+}.",
        "  + FV3 Grapes: mentions grapes. (violating)",
    ];
    assert_eq!(rules[..4], expected);
    assert!(!rules[4].contains("FV"), "{text}");
}

#[test]
fn a_rule_that_changes_its_side_is_one_line() {
    let dir = folder();
    let moved =
        OLD.replace("- FV2 Plums: mentions plums.\n", "") + "- FV2 Plums: mentions plums.\n";
    write_suite(&dir.path().join("moved"), &moved, GOLDEN);
    let output = diff(dir.path(), ["old", "moved"], &[]);
    let text = String::from_utf8_lossy(&output.stdout);
    let line = "\n  ~ FV2 Plums: mentions plums. ([-violating-]{+safe+})\n";
    assert!(text.contains(line), "{text}");
}

#[test]
fn a_version_is_equal_to_itself_and_nothing_is_judged_twice() {
    let dir = folder();
    let output = diff(dir.path(), ["old", "old"], &["--format", "json"]);
    let report = json(&output);
    assert_eq!(output.status.code(), Some(0));
    for list in ["rules", "broken", "fixed", "other"] {
        assert_eq!(report[list], serde_json::json!([]), "{list}");
    }
    assert_eq!(n_remembered(dir.path()), 4, "four cases under one policy");
}
