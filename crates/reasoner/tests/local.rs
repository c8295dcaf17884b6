//! The local judge over a tiny random model: whatever the model says, the verdict is one of the policy's or
//! undetermined with a cause, and never clear by failure.

mod tiny;

use std::sync::Arc;
use std::time::Duration;

use engine::EngineSettings;
use policy::{
    AnswerToken, Cause, Content, Judge, JudgeSettings, Observer, Outcome, ScoreMethod, Silent,
    Verdict,
};
use reasoner::{LocalJudge, parse_reply};
use tiny::{engine_settings, judge_with, policy, short};

fn judge(judge: &LocalJudge, content: &Content, settings: &JudgeSettings) -> Verdict {
    judge.judge(&policy(), content, settings, &mut Silent)
}

#[derive(Default)]
struct Listener {
    thought: String,
    answer: String,
}

impl Observer for Listener {
    fn reasoning(&mut self, text: &str) {
        self.thought += text;
    }

    fn answer(&mut self, token: &AnswerToken) {
        assert!(token.logprob <= 0.0);
        self.answer += &token.text;
    }
}

#[test]
fn a_verdict_is_complete_repeatable_and_heard_while_it_is_made() {
    let local = judge_with(engine_settings());
    let mut listener = Listener::default();
    let content = Content::text("two of them");
    let verdict = local.judge(&policy(), &content, &short(), &mut listener);
    assert!(matches!(verdict.outcome, Outcome::Violation | Outcome::Clear), "{verdict:?}");
    let score = verdict.score.expect("a local verdict has a score");
    assert!((0.0..=1.0).contains(&score) && verdict.score_method == ScoreMethod::Logprob);
    assert_eq!(score > 0.5, verdict.outcome == Outcome::Violation, "greedy takes the likelier one");
    assert!(verdict.capped, "a random model does not stop by itself");
    assert_eq!(verdict.reasoning, listener.thought);
    let answer = parse_reply(&policy(), &listener.answer).expect("the answer was heard whole");
    assert_eq!(Some(answer.label), verdict.label);
    assert!(verdict.marker.is_some() && verdict.usage.prompt_tokens > 0);
    let again = judge(&local, &content, &short());
    let without_clock = |verdict: Verdict| Verdict { usage: policy::Usage::default(), ..verdict };
    assert_eq!(without_clock(again.clone()), without_clock(verdict));
    assert!(again.usage.cached_tokens > 0, "the policy is computed once");
}

#[test]
fn many_at_once_are_as_each_alone() {
    let local = Arc::new(judge_with(engine_settings()));
    let contents: Vec<Content> =
        (0..6).map(|at| Content::text(format!("item number {at}"))).collect();
    let together: Vec<Verdict> = std::thread::scope(|scope| {
        let handles: Vec<_> = contents
            .iter()
            .map(|content| scope.spawn(|| judge(&local, content, &short())))
            .collect();
        handles.into_iter().map(|handle| handle.join().expect("no panic")).collect()
    });
    let alone = judge_with(engine_settings());
    for (content, together) in contents.iter().zip(together) {
        let alone = judge(&alone, content, &short());
        assert_eq!(
            (alone.reasoning, alone.label, alone.score),
            (together.reasoning, together.label, together.score)
        );
    }
}

#[test]
fn every_failure_is_undetermined_with_its_cause() {
    let ready = judge_with(engine_settings());
    let narrow = judge_with(EngineSettings { context_len: Some(300), ..engine_settings() });
    let poor = judge_with(EngineSettings { kv_bytes: 1 << 17, ..engine_settings() });
    let long = Content::text("word ".repeat(3000));
    let plain = Content::text("hello");
    let hasty = JudgeSettings { timeout: Some(Duration::ZERO), ..short() };
    let wild = JudgeSettings { temperature: f32::NAN, ..short() };
    let cases = [
        (judge(&ready, &Content::text("  "), &short()), Cause::UnsupportedInput),
        (judge(&narrow, &long, &short()), Cause::UnsupportedInput),
        (judge(&poor, &plain, &short()), Cause::OverBudget),
        (judge(&ready, &plain, &hasty), Cause::Timeout),
        (judge(&ready, &plain, &wild), Cause::BackendError),
    ];
    for (verdict, cause) in cases {
        assert_eq!(verdict.outcome, Outcome::Undetermined(cause), "{:?}", verdict.detail);
        assert!(verdict.detail.is_some() && verdict.label.is_none() && verdict.score.is_none());
    }
}

/// Hangs up once the model thinks.
struct Leaver(bool);

impl Observer for Leaver {
    fn reasoning(&mut self, _text: &str) {
        self.0 = true;
    }

    fn is_cancelled(&self) -> bool {
        self.0
    }
}

#[test]
fn a_caller_who_leaves_stops_the_model() {
    let local = judge_with(engine_settings());
    let long = JudgeSettings { max_analysis_tokens: Some(100_000), ..short() };
    let verdict = local.judge(&policy(), &Content::text("two"), &long, &mut Leaver(false));
    assert_eq!(verdict.outcome, Outcome::Undetermined(Cause::Cancelled));
    let unheard = local.judge(&policy(), &Content::text("two"), &long, &mut Leaver(true));
    assert_eq!(unheard.outcome, Outcome::Undetermined(Cause::Cancelled));
    assert_eq!(unheard.usage.generated_tokens, 0);
}
