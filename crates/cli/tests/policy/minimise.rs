//! `safeguard policy minimise`: what it leaves out changes no verdict, as `policy diff` sees it too.

use std::fs;

use serde_json::json;

use super::{json, run_judge, stderr, write_suite};

const POLICY: &str = "# Fruit Policy (#FV)\n\n## INSTRUCTIONS\nRead the text. The weather is of no interest. Nor is the time of day.\n\n## VIOLATES (violation = 1)\n- FV1 Apples: mentions apples.\n\n## SAFE (violation = 0)\n- FV0.a Pears: mentions pears.\n";
const GOLDEN: &str = concat!(
    "{\"id\":\"f-1\",\"text\":\"an apple a day\",\"outcome\":\"violation\"}\n",
    "{\"id\":\"f-2\",\"text\":\"two pears, please\",\"outcome\":\"clear\"}\n",
);

#[test]
fn the_shorter_policy_gives_the_same_verdicts() {
    let dir = tempfile::tempdir().expect("a folder");
    write_suite(dir.path(), POLICY, GOLDEN);
    let run = |args: &[&str]| run_judge(dir.path(), &[args, &["--format", "json"]].concat());
    let output = run(&["minimise", ".", "--out", "short.md"]);
    let report = json(&output);
    let left_out = report["left_out"].as_array().expect("a list");
    assert_eq!(output.status.code(), Some(i32::from(!left_out.is_empty())));
    let written = fs::read_to_string(dir.path().join("short.md")).expect("written");
    assert_eq!(written, report["shorter"].as_str().expect("a text"));
    for sentence in left_out {
        assert!(!written.contains(sentence["text"].as_str().expect("a text")), "{sentence}");
        assert_eq!(sentence["line"], 4);
    }
    let (before, after) = (&report["tokens"]["before"], &report["tokens"]["after"]);
    assert_eq!(left_out.is_empty(), before == after);
    let refused = run(&["minimise", ".", "--direct"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("hint: leave out --direct"), "{}", stderr(&refused));
    let diff = run(&["diff", ".", "short.md", "--golden", "golden.jsonl"]);
    let flips = json(&diff);
    assert_eq!(
        (diff.status.code(), &flips["broken"], &flips["fixed"]),
        (Some(0), &json!([]), &json!([]))
    );
}
