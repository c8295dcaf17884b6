//! Many judgements at once, and judgements that are remembered.

mod tiny;

use std::fs;
use std::sync::Arc;

use policy::{Content, Judge, JudgeSettings, Outcome, Silent, Usage, Verdict};
use reasoner::{CachedJudge, Job, judge_many};
use tiny::{engine_settings, judge_with, policy, short};

fn without_clock(verdict: Verdict) -> Verdict {
    Verdict { usage: Usage::default(), ..verdict }
}

#[test]
fn every_job_gets_its_verdict_whatever_is_in_flight() {
    let (judge, policy, settings) = (judge_with(engine_settings()), policy(), short());
    let contents: Vec<Arc<Content>> =
        (0..9).map(|at| Arc::new(Content::text(format!("item number {at}")))).collect();
    let run = |n_in_flight| {
        let jobs = contents.iter().enumerate().map(|(number, content)| Job {
            number,
            policy: &policy,
            content: Arc::clone(content),
            settings: &settings,
        });
        let mut verdicts = vec![None; contents.len()];
        judge_many(&judge, jobs, n_in_flight, |number, verdict| {
            verdicts[number] = Some(without_clock(verdict));
            true
        });
        verdicts
    };
    let alone = run(1);
    assert!(alone.iter().all(Option::is_some));
    assert_eq!(run(4), alone);
    assert_eq!(run(64), alone);
}

#[test]
fn a_listener_that_has_heard_enough_ends_the_work() {
    let (judge, policy, settings) = (judge_with(engine_settings()), policy(), short());
    let content = Arc::new(Content::text("again and again"));
    let jobs = (0..).map(|number| Job {
        number,
        policy: &policy,
        content: Arc::clone(&content),
        settings: &settings,
    });
    let mut n_heard = 0;
    judge_many(&judge, jobs, 2, |_, _| {
        n_heard += 1;
        n_heard < 3
    });
    assert_eq!(n_heard, 3);
}

#[test]
fn what_was_judged_is_remembered_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a folder");
    let policy = policy();
    let judge = CachedJudge::new(judge_with(engine_settings()), dir.path()).expect("a cache");
    let ask = |text: &str, settings: &JudgeSettings| {
        judge.judge(&policy, &Content::text(text), settings, &mut Silent)
    };
    let first = ask("one", &short());
    assert_eq!(judge.n_hits(), 0);
    assert_eq!(ask("one", &short()), first);
    assert_eq!(judge.n_hits(), 1);
    ask("two", &short());
    ask("one", &JudgeSettings { seed: Some(2), ..short() });
    assert_eq!(judge.n_hits(), 1, "another text and another seed are other questions");

    // A file that is damaged is as if it were not there.
    for folder in fs::read_dir(dir.path()).expect("folders") {
        for file in fs::read_dir(folder.expect("a folder").path()).expect("files") {
            fs::write(file.expect("a file").path(), b"{").expect("written");
        }
    }
    assert_eq!(without_clock(ask("one", &short())), without_clock(first));
    assert_eq!(judge.n_hits(), 1);
}

#[test]
fn a_failure_is_not_remembered() {
    let dir = tempfile::tempdir().expect("a folder");
    let narrow = engine::EngineSettings { context_len: Some(300), ..engine_settings() };
    let judge = CachedJudge::new(judge_with(narrow), dir.path()).expect("a cache");
    for _ in 0..2 {
        let content = Content::text("word ".repeat(3000));
        let verdict = judge.judge(&policy(), &content, &short(), &mut Silent);
        assert!(matches!(verdict.outcome, Outcome::Undetermined(_)));
    }
    assert_eq!(judge.n_hits(), 0);
}
