//! `safeguard policy test`: the built-in model over a small suite.

use std::fs;
use std::path::Path;
use std::process::Output;

use super::{json, n_remembered, run_judge, stderr, stdout, write_suite};

const POLICY: &str = "# Fruit Policy (#FV)\n\n## VIOLATES (violation = 1)\n- FV1 Apples: mentions apples.\n\n## SAFE (violation = 0)\n- FV0.a Pears: mentions pears.\n";
const GOLDEN: &str = concat!(
    "{\"id\":\"f-1\",\"text\":\"an apple a day\",\"outcome\":\"violation\",\"rule\":\"FV1\"}\n",
    "{\"id\":\"f-2\",\"text\":\"two pears, please\",\"outcome\":\"clear\",\"rule\":\"FV0.a\"}\n",
    "{\"id\":\"f-3\",\"text\":\"apples & <pears>\",\"outcome\":\"violation\"}\n",
);
/// The same cases with every outcome exchanged: what passed above fails here, and the other way round.
const EXCHANGED: &str = concat!(
    "{\"id\":\"f-1\",\"text\":\"an apple a day\",\"outcome\":\"clear\"}\n",
    "{\"id\":\"f-2\",\"text\":\"two pears, please\",\"outcome\":\"violation\"}\n",
    "{\"id\":\"f-3\",\"text\":\"apples & <pears>\",\"outcome\":\"clear\"}\n",
);
/// A rule that the policy does not have, a label, and a rule of the wrong side.
const MISFITS: &str = concat!(
    "{\"id\":\"f-1\",\"text\":\"an apple a day\",\"outcome\":\"violation\",\"rule\":\"FV7\"}\n",
    "{\"id\":\"f-2\",\"text\":\"two pears, please\",\"outcome\":\"clear\",\"rule\":\"FV0\"}\n",
    "{\"id\":\"f-3\",\"text\":\"a pear tree\",\"outcome\":\"clear\",\"rule\":\"FV1\"}\n",
);

fn suite(golden: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    write_suite(dir.path(), POLICY, golden);
    dir
}

fn test(dir: &Path, more: &[&str]) -> Output {
    run_judge(dir, &[&["test", ".", "--agree", "outcome"], more].concat())
}

#[test]
fn what_passes_one_way_round_fails_the_other() {
    let (plain, exchanged) = (suite(GOLDEN), suite(EXCHANGED));
    let (one, other) =
        (test(plain.path(), &["--format", "json"]), test(exchanged.path(), &["--format", "json"]));
    let passed = |output: &Output| json(output)[0]["passed"].as_u64().expect("a count");
    assert_eq!(passed(&one) + passed(&other), 3, "every case passes in exactly one of the two");
    for output in [&one, &other] {
        let report = &json(output)[0];
        let n_failures = report["failures"].as_array().expect("a list").len() as u64;
        assert_eq!(passed(output) + n_failures, 3);
        assert_eq!(output.status.code(), Some(i32::from(n_failures > 0)));
        let interval: Vec<f64> =
            serde_json::from_value(report["interval"].clone()).expect("two ends");
        assert!(
            interval[0] <= passed(output) as f64 / 3.0
                && passed(output) as f64 / 3.0 <= interval[1]
        );
    }
}

#[test]
fn direct_verdicts_agree_by_their_outcome_alone() {
    let dir = suite(GOLDEN);
    let output = test(dir.path(), &["--direct", "--format", "json"]);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", stderr(&output));
    let refused = run_judge(dir.path(), &["test", ".", "--direct"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("hint: compare outcomes alone with --agree outcome"));
}

#[test]
fn failures_are_shown_with_item_and_reasoning_and_written_as_junit() {
    let (plain, exchanged) = (suite(GOLDEN), suite(EXCHANGED));
    let mut n_failures = 0;
    for dir in [plain.path(), exchanged.path()] {
        let junit = dir.join("junit.xml");
        let output = test(dir, &["--junit", junit.to_str().expect("text")]);
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(shown.contains("of 3 passed") && !shown.contains('\u{1b}'), "{shown}");
        n_failures += shown.matches("FAIL ").count();
        assert_eq!(
            shown.matches("expected  ").count(),
            shown.matches("reasoning ").count(),
            "{shown}"
        );
        let xml = fs::read_to_string(junit).expect("written");
        assert_eq!(xml.matches("<testcase ").count(), 3);
        assert_eq!(xml.matches("<failure ").count(), shown.matches("FAIL ").count());
        assert!(xml.contains("tests=\"3\"") && !xml.contains("<pears>"), "{xml}");
    }
    assert_eq!(n_failures, 3);
}

#[test]
fn repeats_have_seeds_of_their_own_and_are_remembered() {
    let dir = suite(GOLDEN);
    let first = json(&test(dir.path(), &["--repeat", "3", "--format", "json"]));
    assert_eq!(first[0]["rounds"], 3);
    assert_eq!(n_remembered(dir.path()), 9, "three cases, three seeds");
    assert_eq!(json(&test(dir.path(), &["--repeat", "3", "--format", "json"])), first);
}

#[test]
fn undetermined_is_no_pass_and_ends_with_two() {
    let dir = suite(GOLDEN);
    let output = test(dir.path(), &["--timeout", "0", "--format", "json"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        (&json(&output)[0]["passed"], &json(&output)[0]["undetermined"]),
        (&0.into(), &3.into())
    );
}

#[test]
fn a_set_that_is_too_small_is_called_so_and_a_larger_one_is_not() {
    let dir = suite(GOLDEN);
    let shown = stdout(&test(dir.path(), &[]));
    for reason in
        ["too small 2 violations with a verdict; it takes 30", "too small 1 clear contents"]
    {
        assert!(shown.contains(reason), "{shown}");
    }
    let case = |at: usize| {
        let outcome = if at < 30 { "violation" } else { "clear" };
        format!("{{\"id\":\"{at}\",\"text\":\"fruit {at}\",\"outcome\":\"{outcome}\"}}\n")
    };
    let dir = suite(&(0..60).map(case).collect::<String>());
    let report = json(&test(dir.path(), &["--format", "json"]));
    assert_eq!(report[0]["too_small"], serde_json::json!([]));
}

#[test]
fn rules_that_the_policy_does_not_have_are_named_for_every_policy_before_anything_is_judged() {
    let (one, other) = (suite(MISFITS), suite(MISFITS));
    let both = ["test", ".", other.path().to_str().expect("text")];
    let output = run_judge(one.path(), &both);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for problem in ["line 1: the policy has no rule FV7", "line 3: FV1 is a violating rule"] {
        assert_eq!(said.matches(problem).count(), 2, "{said}");
    }
    assert!(!said.contains("line 2"), "a label is a rule too: {said}");
    assert!(said.contains("hint: `safeguard policy lint`"), "{said}");
    assert!(!said.contains("built-in model"), "no model was opened: {said}");
    let versions = ["diff", "policy.md", "policy.md", "--allow-regressions", "3"];
    assert_eq!(run_judge(one.path(), &versions).status.code(), Some(0), "rules of other versions");
}

#[test]
fn what_cannot_be_read_is_said_before_anything_is_judged() {
    for (golden, expected) in [
        ("{\"id\":\"a\",\"text\":\"x\"}\n", "outcome"),
        ("", "no cases"),
        ("{\"id\":\"a\",\"text\":\"\",\"outcome\":\"clear\"}\n", "empty"),
    ] {
        let dir = suite(golden);
        let output = test(dir.path(), &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected) && said.contains("golden.jsonl"), "{golden:?}: {said}");
        assert!(!said.contains("built-in model"), "no model was opened: {said}");
    }
}
