//! The built-in model under policies that ship: guesses spare steps and change no verdict.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::{Engine, EngineSettings, Totals};
use model::Model;
use policy::{Content, Judge, JudgeSettings, Policy, Silent, Verdict};
use reasoner::LocalJudge;

fn policies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies")
}

fn judge(guess_batch_tokens: usize) -> LocalJudge {
    let model = Arc::new(Model::builtin().expect("the model is whole"));
    let settings =
        EngineSettings { guess_batch_tokens, kv_bytes: 512 << 20, ..EngineSettings::default() };
    LocalJudge::new(Engine::start(model, settings).expect("the settings hold"))
}

/// A policy and the texts of its first golden cases.
fn golden(name: &str, n_cases: usize) -> (Policy, Vec<Content>) {
    let dir = policies().join(name);
    let text = std::fs::read(dir.join("policy.md")).expect("the policy ships");
    let cases = std::fs::read_to_string(dir.join("golden.jsonl")).expect("its cases ship");
    let texts = cases.lines().filter_map(|line| {
        let case: serde_json::Value = serde_json::from_str(line).expect("a case is JSON");
        Some(Content::text(case["text"].as_str()?))
    });
    (Policy::parse(name, &text).expect("a policy"), texts.take(n_cases).collect())
}

/// One after the other; without the seconds, in which alone they may differ.
fn verdicts(
    judge: &LocalJudge,
    policy: &Policy,
    contents: &[Content],
    temperature: f32,
) -> Vec<Verdict> {
    let settings = JudgeSettings { seed: Some(1), temperature, ..JudgeSettings::default() };
    let verdict = |content| {
        let mut verdict = judge.judge(policy, content, &settings, &mut Silent);
        verdict.usage.seconds = 0.0;
        verdict
    };
    contents.iter().map(verdict).collect()
}

#[test]
fn guesses_change_no_verdict_and_spare_steps() {
    let (policy, contents) = golden("fraud-phishing", 4);
    let (plain, guessing) = (judge(0), judge(EngineSettings::default().guess_batch_tokens));
    for temperature in [0.0, 1.0] {
        let [expected, guessed] =
            [&plain, &guessing].map(|judge| verdicts(judge, &policy, &contents, temperature));
        assert_eq!(guessed, expected);
    }
    let [without, with] = [&plain, &guessing].map(|judge| judge.engine().totals());
    assert_eq!((without.guessed, without.came_true), (0, 0));
    assert!(with.came_true > 0 && with.steps < without.steps, "{with:?}, {without:?}");
}

/// The figures of the page on performance.
#[test]
#[ignore = "takes minutes"]
fn steps_of_golden_cases() {
    let mut names: Vec<String> = std::fs::read_dir(policies())
        .expect("the folder is there")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("plain names"))
        .filter(|name| policies().join(name).join("golden.jsonl").exists())
        .collect();
    names.sort();
    for temperature in [0.0, 1.0] {
        for guess_batch_tokens in [0, EngineSettings::default().guess_batch_tokens] {
            let judge = judge(guess_batch_tokens);
            let mut n_verdicts = 0;
            for name in &names {
                let (policy, contents) = golden(name, 20);
                n_verdicts += verdicts(&judge, &policy, &contents, temperature).len();
            }
            let Totals { steps, guessed, came_true, .. } = judge.engine().totals();
            let each = |n: u64| n as f64 / n_verdicts as f64;
            println!(
                "temperature {temperature}, {n_verdicts} verdicts: {:.1} steps each, {:.1} tokens guessed, {:.1} came",
                each(steps),
                each(guessed),
                each(came_true)
            );
        }
    }
}
