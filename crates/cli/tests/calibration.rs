//! `calibration.json` beside a policy: who writes it, who reads it, and when it is not used.
//!
//! The weights that ship change, so nothing here asks how good the model is: only how numbers relate.

mod program;
#[path = "program/suite.rs"]
mod suite;

use std::fs;
use std::path::Path;

use program::{stderr, stdout};
use serde_json::{Value, json};
use suite::{n_remembered, run_judge, write_suite};

const POLICY: &str = "# Fruit Policy (#FV)\n\n## VIOLATES (violation = 1)\n- FV1 Apples: mentions apples.\n\n## SAFE (violation = 0)\n- FV0.a Pears: mentions pears.\n";
const GOLDEN: &str = concat!(
    "{\"id\":\"f-1\",\"text\":\"an apple a day\",\"outcome\":\"violation\"}\n",
    "{\"id\":\"f-2\",\"text\":\"two pears, please\",\"outcome\":\"clear\"}\n",
    "{\"id\":\"f-3\",\"text\":\"apples for everyone\",\"outcome\":\"violation\"}\n",
    "{\"id\":\"f-4\",\"text\":\"a pear tree\",\"outcome\":\"clear\"}\n",
);
const EVAL: [&str; 7] = ["eval", "-p", ".", "--resamples", "50", "--format", "json"];
const CLASSIFY: [&str; 6] = ["classify", "-p", ".", "an apple a day", "--format", "json"];
const BATCH: [&str; 6] = ["batch", "golden.jsonl", "-p", ".", "--out", "out.jsonl"];

/// A suite with the calibration that `eval` fits to it, which then has this temperature.
fn calibrated(t: f64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    write_suite(dir.path(), POLICY, GOLDEN);
    let flags = ["--calibrate", "temperature", "--save-calibration"];
    let output = run_judge(dir.path(), &[&EVAL[..], &flags].concat());
    let report = &suite::json(&output)["runs"][0]["policies"][0];
    assert!(report["items"][0]["probability"].is_null(), "there was no calibration yet");
    change(dir.path(), "t", json!(t));
    dir
}

fn change(dir: &Path, key: &str, value: Value) {
    let path = dir.join("calibration.json");
    let text = fs::read_to_string(&path).expect("eval wrote it");
    let mut saved: Value = serde_json::from_str(&text).expect("JSON");
    assert!(!saved[key].is_null(), "{key} is in {saved}");
    saved[key] = value;
    fs::write(path, saved.to_string()).expect("written");
}

/// The probability is the score with its log odds divided by `t`.
fn check(judged: &Value, t: f64) {
    let [score, probability] = ["score", "probability"].map(|key| judged[key].as_f64());
    let (score, probability) = (score.expect("a score"), probability.expect("a probability"));
    let held = score.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
    let odds = (held / (1.0 - held)).ln() / t;
    let expected = 1.0 / (1.0 + (-odds).exp());
    assert!((probability - expected).abs() < 1e-9, "{score} became {probability}, not {expected}");
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("verdicts");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn every_command_that_judges_reports_it_beside_the_score() {
    let dir = calibrated(3.0);
    let n_verdicts = n_remembered(dir.path());
    let output = run_judge(dir.path(), &EVAL);
    let report = suite::json(&output)["runs"][0]["policies"][0].clone();
    for item in report["items"].as_array().expect("items") {
        check(item, 3.0);
    }
    assert!(report["measures"]["probability_ece"]["value"].is_number());
    assert_eq!(n_remembered(dir.path()), n_verdicts, "remembered scores serve every calibration");
    check(&suite::json(&run_judge(dir.path(), &CLASSIFY)), 3.0);
    run_judge(dir.path(), &BATCH);
    let verdicts = lines(&dir.path().join("out.jsonl"));
    assert_eq!(verdicts.len(), 4);
    verdicts.iter().for_each(|verdict| check(verdict, 3.0));
    let shown = stdout(&run_judge(dir.path(), &CLASSIFY[..4]));
    assert!(
        shown.contains("probability of a violation 0.") && shown.contains("(calibrated; score ")
    );
    let shown = stdout(&run_judge(dir.path(), &EVAL[..5]));
    assert!(shown.contains("; by calibration.json 0."), "{shown}");
}

#[test]
fn one_for_another_model_or_version_is_not_used_and_a_note_says_so() {
    for (key, note) in [("judge", "another model"), ("policy", "another version of the policy")] {
        let dir = calibrated(3.0);
        change(dir.path(), key, json!("0".repeat(64)));
        for command in [&EVAL[..], &CLASSIFY, &BATCH] {
            let output = run_judge(dir.path(), command);
            let said = stderr(&output);
            assert!(
                said.contains(note) && said.contains("calibration.json"),
                "{command:?}: {said}"
            );
            assert!(said.contains("hint: make it anew"), "{said}");
        }
        assert!(suite::json(&run_judge(dir.path(), &CLASSIFY))["probability"].is_null());
        assert!(lines(&dir.path().join("out.jsonl")).iter().all(|it| it["probability"].is_null()));
        let report = suite::json(&run_judge(dir.path(), &EVAL))["runs"][0]["policies"][0].clone();
        assert!(report["items"][0]["probability"].is_null());
        assert!(report["measures"]["probability_ece"]["value"].is_null());
    }
}

#[test]
fn one_for_verdicts_with_reasoning_is_not_put_on_direct_scores_nor_the_other_way_round() {
    let dir = calibrated(3.0);
    let output = run_judge(dir.path(), &[&CLASSIFY[..], &["--direct"]].concat());
    let said = stderr(&output);
    assert!(said.contains("is for verdicts with reasoning alone, so it is not used"), "{said}");
    let judged = suite::json(&output);
    assert_eq!((&judged["score_method"], &judged["probability"]), (&json!("direct"), &Value::Null));
    let flags = ["--direct", "--calibrate", "temperature", "--save-calibration"];
    let [first, again] =
        [(); 2].map(|()| stderr(&run_judge(dir.path(), &[&EVAL[..], &flags].concat())));
    let replaced =
        "was fitted to verdicts with reasoning; the new one, to direct scores, takes its place";
    assert!(first.contains(replaced) && !again.contains("takes its place"), "{first}{again}");
    change(dir.path(), "t", json!(2.0));
    let output = run_judge(dir.path(), &[&CLASSIFY[..], &["--direct"]].concat());
    assert!(!stderr(&output).contains("so it is not used"), "{}", stderr(&output));
    check(&suite::json(&output), 2.0);
    let output = run_judge(dir.path(), &CLASSIFY);
    assert!(suite::json(&output)["probability"].is_null());
    assert!(stderr(&output).contains("is for direct scores alone"), "{}", stderr(&output));
}

#[test]
fn one_that_cannot_be_read_is_refused_before_anything_is_judged() {
    let dir = calibrated(3.0);
    change(dir.path(), "t", json!(-1));
    for command in [&EVAL[..], &CLASSIFY, &BATCH] {
        let output = run_judge(dir.path(), command);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{command:?}: {said}");
        assert!(said.contains("calibration.json: the temperature is -1"), "{said}");
        assert!(
            said.contains("hint: remove the file") && !said.contains("built-in model"),
            "{said}"
        );
    }
}
