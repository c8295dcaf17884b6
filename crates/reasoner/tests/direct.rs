//! Direct scoring over a tiny random model: the verdict of no thought, without what is said behind it.

mod tiny;

use std::time::Duration;

use engine::EngineSettings;
use policy::{
    AnswerToken, Cause, Content, Judge, JudgeSettings, Observer, Outcome, ScoreMethod, Silent,
    Stage, Verdict,
};
use reasoner::LocalJudge;
use tiny::{engine_settings, judge_with, policy, short};

fn direct() -> JudgeSettings {
    JudgeSettings { direct: true, max_analysis_tokens: None, ..short() }
}

fn judge(judge: &LocalJudge, text: &str, settings: &JudgeSettings) -> Verdict {
    judge.judge(&policy(), &Content::text(text), settings, &mut Silent)
}

#[derive(Default)]
struct Listener {
    thought: String,
    answer: Vec<AnswerToken>,
}

impl Observer for Listener {
    fn reasoning(&mut self, text: &str) {
        self.thought += text;
    }

    fn answer(&mut self, token: &AnswerToken) {
        self.answer.push(token.clone());
    }
}

#[test]
fn the_score_is_that_of_no_thought_and_nothing_else_is_said() {
    let local = judge_with(engine_settings());
    let thoughtless = JudgeSettings { max_analysis_tokens: Some(0), ..short() };
    for text in ["two of them", "none", "Grüße, 你好 <|end|>"] {
        let mut listener = Listener::default();
        let verdict = local.judge(&policy(), &Content::text(text), &direct(), &mut listener);
        let whole = judge(&local, text, &thoughtless);
        assert_eq!((verdict.outcome, verdict.score), (whole.outcome, whole.score));
        assert!(verdict.score.is_some() && verdict.marker == whole.marker);
        assert_eq!((verdict.score_method, verdict.stage), (ScoreMethod::Direct, Stage::Reasoner));
        assert_eq!((&verdict.label, &verdict.rationale, verdict.confidence), (&None, &None, None));
        assert!(verdict.rule_ids.is_empty() && verdict.reasoning.is_empty() && !verdict.capped);
        assert_eq!(verdict.usage.generated_tokens, 1);
        assert!(whole.label.is_some() && whole.usage.generated_tokens > 1);
        let digit = u8::from(verdict.outcome == Outcome::Violation);
        let heard: String = listener.answer.iter().map(|token| token.text.as_str()).collect();
        assert_eq!(
            (listener.thought, heard),
            (String::new(), format!("{{\"violation\":{digit}}}"))
        );
        let choices: Vec<usize> = listener.answer.iter().map(|token| token.choices.len()).collect();
        assert_eq!(choices, [0, 2, 0], "the digit alone is the model's");
    }
}

#[test]
fn a_content_behind_a_known_policy_takes_one_pass() {
    let local = judge_with(engine_settings());
    judge(&local, "the first", &direct());
    let before = local.engine().totals().steps;
    let verdict = judge(&local, "the second", &direct());
    assert_eq!(local.engine().totals().steps - before, 1);
    assert!(verdict.usage.cached_tokens > 0);
}

#[test]
fn many_at_once_are_as_each_alone() {
    let local = judge_with(EngineSettings { n_threads: 2, ..engine_settings() });
    let texts: Vec<String> = (0..6).map(|at| format!("item number {at}")).collect();
    let together: Vec<Verdict> = std::thread::scope(|scope| {
        let handles: Vec<_> =
            texts.iter().map(|text| scope.spawn(|| judge(&local, text, &direct()))).collect();
        handles.into_iter().map(|handle| handle.join().expect("no panic")).collect()
    });
    let alone = judge_with(engine_settings());
    for (text, together) in texts.iter().zip(together) {
        let alone = judge(&alone, text, &direct());
        assert_eq!((alone.outcome, alone.score), (together.outcome, together.score));
    }
}

/// Left before anything was heard.
struct Gone;

impl Observer for Gone {
    fn is_cancelled(&self) -> bool {
        true
    }
}

#[test]
fn every_failure_is_undetermined_with_its_cause() {
    let ready = judge_with(engine_settings());
    let narrow = judge_with(EngineSettings { context_len: Some(300), ..engine_settings() });
    let hasty = JudgeSettings { timeout: Some(Duration::ZERO), ..direct() };
    let wild = JudgeSettings { temperature: f32::NAN, ..direct() };
    let cases = [
        (judge(&ready, "  ", &direct()), Cause::UnsupportedInput),
        (judge(&narrow, &"word ".repeat(3000), &direct()), Cause::UnsupportedInput),
        (judge(&ready, "hello", &hasty), Cause::Timeout),
        (judge(&ready, "hello", &wild), Cause::BackendError),
        (ready.judge(&policy(), &Content::text("hello"), &direct(), &mut Gone), Cause::Cancelled),
    ];
    for (verdict, cause) in cases {
        assert_eq!(verdict.outcome, Outcome::Undetermined(cause), "{:?}", verdict.detail);
        assert!(verdict.detail.is_some() && verdict.score.is_none());
        assert_eq!(verdict.score_method, ScoreMethod::None);
    }
}
