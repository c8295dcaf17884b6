//! `safeguard classify` as people run it: the real program, the built-in model, shipped policies.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const POLICY: &str = "policies/game-cheating/policy.md";
const TEXT: &str = "Ranked account for sale, middleman welcome";

fn classify(args: &[&str], input: &str) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut child = Command::new(env!("CARGO_BIN_EXE_safeguard"))
        .current_dir(root)
        .arg("classify")
        .args(args)
        .env_remove("SAFEGUARD_ISA")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A program that fails early does not read its input.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("the program ends")
}

fn verdicts(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).expect("a verdict is JSON")).collect()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_text_gets_reasoning_a_rule_and_a_score() {
    let output = classify(&["--policy", POLICY, TEXT], "");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{shown}{}", stderr(&output));
    let outcome = if output.status.success() { "clear" } else { "violation" };
    assert!(shown.contains(outcome) && shown.contains("probability of a violation"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colours in a pipe");
    assert_eq!(stderr(&output).matches("built-in model").count(), 1);
}

#[test]
fn json_is_one_verdict_a_policy_and_the_exit_code_the_worst() {
    let output = classify(
        &[
            "--policy",
            POLICY,
            "--policy",
            "policies/fake-reviews",
            "--format",
            "json",
            "--seed",
            "3",
            TEXT,
        ],
        "",
    );
    let found = verdicts(&output);
    assert_eq!(found.len(), 2, "{}", stderr(&output));
    let is_violation = found.iter().any(|verdict| verdict["outcome"] == "violation");
    assert_eq!(output.status.code(), Some(i32::from(is_violation)));
    assert_eq!(found[0]["policy"]["name"], "game-cheating");
    for verdict in &found {
        let score = verdict["score"].as_f64().expect("a score");
        assert!((0.0..=1.0).contains(&score) && verdict["score_method"] == "logprob");
        assert!(verdict["marker"].as_str().is_some_and(|marker| marker.len() == 8));
    }
    let again = classify(&["--policy", POLICY, "--format", "json", "--seed", "3", TEXT], "");
    for field in ["outcome", "label", "score", "reasoning", "rationale", "marker"] {
        assert_eq!(verdicts(&again)[0][field], found[0][field], "{field} repeats");
    }
}

#[test]
fn a_direct_verdict_has_a_probability_and_no_reasons() {
    let args = ["--policy", POLICY, "--direct", "--seed", "3", TEXT];
    let output = classify(&[&args[..], &["--format", "json"]].concat(), "");
    let verdict = verdicts(&output).remove(0);
    let is_violation = verdict["outcome"] == "violation";
    assert_eq!(output.status.code(), Some(i32::from(is_violation)), "{}", stderr(&output));
    assert_eq!(verdict["score"].as_f64().map(|score| score > 0.5), Some(is_violation));
    assert_eq!((&verdict["score_method"], &verdict["reasoning"]), (&"direct".into(), &"".into()));
    assert!(verdict["label"].is_null() && verdict["rationale"].is_null());
    assert_eq!(verdict["usage"]["generated_tokens"], 1);
    let output = classify(&args, "");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains("scored directly") && !shown.contains("confidence"), "{shown}");
}

#[test]
fn input_comes_from_anywhere() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("content.json");
    std::fs::write(&file, r#"{"prompt":"How?","reply":"No idea.","metadata":{"stars":5}}"#)
        .expect("written");
    let file = file.to_str().expect("text");
    let from_file = classify(&["-p", POLICY, "--format", "json", "--json", "--file", file], "");
    assert_eq!(verdicts(&from_file).len(), 1, "{}", stderr(&from_file));
    let from_stdin = classify(&["-p", POLICY, "--format", "json", "-"], TEXT);
    assert_eq!(verdicts(&from_stdin).len(), 1, "{}", stderr(&from_stdin));
}

#[test]
fn what_cannot_be_done_is_said_and_ends_with_two() {
    let cases: [(&[&str], &str, &str); 9] = [
        (&["-p", "no-such.md", TEXT], "", "no-such.md"),
        (&["-p", POLICY, "-"], "  ", "empty"),
        (&["-p", POLICY, "--json", "-"], "{", "JSON"),
        (&["-p", POLICY, "--meta", "a", TEXT], "", "KEY=VALUE"),
        (&["-p", POLICY], "", "--file"),
        (&["-p", POLICY, "--model", "./nowhere", TEXT], "", "nowhere"),
        (&["-p", POLICY, "--model", "20b", TEXT], "", "hint"),
        (&["-p", POLICY, "--direct", "--max-analysis-tokens", "9", TEXT], "", "cannot be used"),
        (
            &["-p", POLICY, "--direct", "--model", "http://127.0.0.1:9", TEXT],
            "",
            "--direct is for a model in this process",
        ),
    ];
    for (args, input, expected) in cases {
        let output = classify(args, input);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).contains(expected), "{args:?}: {}", stderr(&output));
    }
    let output = classify(&["-p", POLICY, "--timeout", "0", "--format", "json", TEXT], "");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        (&verdicts(&output)[0]["outcome"], &verdicts(&output)[0]["cause"]),
        (&"undetermined".into(), &"timeout".into())
    );
}
