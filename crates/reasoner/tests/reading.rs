//! Readings over a tiny random model: the same numbers as a verdict without a thought, alone and together.

mod tiny;

use engine::EngineSettings;
use policy::{Content, Effort, Judge, JudgeSettings, Silent};
use reasoner::{Reading, ReasonerError};
use tiny::{engine_settings, judge_with, policy, short};

fn contents() -> Vec<Content> {
    // More than are read at once, with one that is nothing and two that are the same.
    let mut contents: Vec<Content> =
        (0..40).map(|at| Content::text(format!("item {}", "very ".repeat(at)))).collect();
    contents[7] = Content::text(" ");
    contents[9] = contents[8].clone();
    contents
}

fn same_numbers(a: &Reading, b: &Reading) -> bool {
    a.state == b.state && a.score == b.score
}

#[test]
fn a_reading_is_the_verdict_of_no_thought() {
    let local = judge_with(engine_settings());
    let thoughtless = JudgeSettings {
        max_analysis_tokens: Some(0),
        seed: Some(0),
        effort: Some(Effort::Low),
        ..short()
    };
    for content in ["two of them", "none", "Grüße, 你好 <|end|>"].map(Content::text) {
        let reading = local.read(&policy(), std::slice::from_ref(&content), Effort::Low);
        let [Ok(reading)] = reading.as_slice() else { panic!("{reading:?}") };
        let verdict = local.judge(&policy(), &content, &thoughtless, &mut Silent);
        assert_eq!(Some(reading.score), verdict.score);
        assert_eq!(reading.state.len(), local.engine().model().config().hidden_size);
        assert_eq!(reading.usage.generated_tokens, 1);
    }
}

#[test]
fn readings_keep_their_order_and_numbers_together_and_alone() {
    let together = judge_with(engine_settings()).read(&policy(), &contents(), Effort::Medium);
    let other = judge_with(EngineSettings { n_threads: 2, ..engine_settings() });
    assert_eq!(together.len(), contents().len());
    for (at, (content, together)) in contents().iter().zip(&together).enumerate() {
        let alone = other.read(&policy(), std::slice::from_ref(content), Effort::Medium);
        match (together, &alone[0]) {
            (Ok(together), Ok(alone)) => assert!(same_numbers(together, alone), "content {at}"),
            (Err(ReasonerError::Content(_)), Err(ReasonerError::Content(_))) => assert_eq!(at, 7),
            (together, alone) => panic!("content {at}: {together:?} {alone:?}"),
        }
    }
    let differing = together[0].as_ref().unwrap();
    assert!(!same_numbers(differing, together[1].as_ref().unwrap()));
    let later = together.last().unwrap().as_ref().unwrap();
    assert!(later.usage.cached_tokens > 0, "the policy is computed once");
}

#[test]
fn what_cannot_be_read_fails_alone() {
    let narrow = judge_with(EngineSettings { context_len: Some(2000), ..engine_settings() });
    let contents = [Content::text("short"), Content::text("word ".repeat(3000))];
    let readings = narrow.read(&policy(), &contents, Effort::Low);
    assert!(readings[0].is_ok());
    assert!(matches!(readings[1], Err(ReasonerError::Engine(_))), "{:?}", readings[1]);
}
