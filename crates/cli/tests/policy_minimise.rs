//! `safeguard policy minimise` as people run it: what it leaves out changes no verdict, as `policy diff` sees it too.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

const POLICY: &str = "# Fruit Policy (#FV)\n\n## INSTRUCTIONS\nRead the text. The weather is of no interest. Nor is the time of day.\n\n## VIOLATES (violation = 1)\n- FV1 Apples: mentions apples.\n\n## SAFE (violation = 0)\n- FV0.a Pears: mentions pears.\n";
const GOLDEN: &str = concat!(
    "{\"id\":\"f-1\",\"text\":\"an apple a day\",\"outcome\":\"violation\"}\n",
    "{\"id\":\"f-2\",\"text\":\"two pears, please\",\"outcome\":\"clear\"}\n",
);

fn safeguard(args: &[&str], cache: &std::path::Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_safeguard"))
        .arg("policy")
        .args(args)
        .args(["--seed", "1", "--max-analysis-tokens", "48", "--format", "json"])
        .env("SAFEGUARD_CACHE", cache)
        .env_remove("SAFEGUARD_ISA")
        .output()
        .expect("the program starts")
}

#[test]
fn the_shorter_policy_gives_the_same_verdicts() {
    let dir = tempfile::tempdir().expect("a folder");
    let (policy, golden, short) = (
        dir.path().join("policy.md"),
        dir.path().join("golden.jsonl"),
        dir.path().join("short.md"),
    );
    fs::write(&policy, POLICY).expect("written");
    fs::write(&golden, GOLDEN).expect("written");
    let [policy, golden, short] =
        [&policy, &golden, &short].map(|path| path.to_str().expect("text"));
    let cache = dir.path().join("cache");
    let output = safeguard(&["minimise", policy, "--out", short], &cache);
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let left_out = report["left_out"].as_array().expect("a list");
    assert_eq!(output.status.code(), Some(i32::from(!left_out.is_empty())));
    let written = fs::read_to_string(short).expect("written");
    assert_eq!(written, report["shorter"].as_str().expect("a text"));
    for sentence in left_out {
        assert!(!written.contains(sentence["text"].as_str().expect("a text")), "{sentence}");
        assert_eq!(sentence["line"], 4);
    }
    let (before, after) = (&report["tokens"]["before"], &report["tokens"]["after"]);
    assert_eq!(left_out.is_empty(), before == after);
    let diff = safeguard(&["diff", policy, short, "--golden", golden], &cache);
    let flips: Value = serde_json::from_slice(&diff.stdout).expect("one JSON object");
    assert_eq!(
        (diff.status.code(), &flips["broken"], &flips["fixed"]),
        (Some(0), &Value::Array(vec![]), &Value::Array(vec![]))
    );
}
