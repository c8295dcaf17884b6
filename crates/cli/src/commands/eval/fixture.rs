//! A small suite with fixed verdicts, for the tests of what is shown.

use policy::{
    Cause, Content, GoldenCase, GoldenOutcome, Outcome, Policy, ScoreMethod, Usage, Verdict,
};

use super::input::Source;
use super::item::Item;
use crate::commands::judging::Suite;

const POLICY: &str = "# Fruit (#FV)\n\n## VIOLATES\n- FV1 Apples: mentions <apples> & more.\n- FV2 Figs: mentions figs.\n\n## SAFE\n- FV0.a Pears: mentions pears.\n";

/// Forty cases, a third of them violations, in two languages.
pub(super) fn source() -> Source {
    let policy = Policy::parse("fruit", POLICY.as_bytes()).expect("a policy");
    let cases = (0..40).map(|at| {
        let violates = at % 3 == 0;
        GoldenCase {
            id: format!("f-{at}"),
            content: Content::text(format!("<script>alert({at})</script> & \"fruit\"")),
            outcome: if violates { GoldenOutcome::Violation } else { GoldenOutcome::Clear },
            rule: Some(if violates { "FV1" } else { "FV0.a" }.to_owned()),
            lang: Some(if at % 2 == 0 { "en" } else { "de" }.to_owned()),
            note: None,
        }
    });
    let suite = Suite {
        path: "fruit/policy.md".into(),
        policy,
        golden_path: "fruit/golden.jsonl".into(),
        cases: cases.collect(),
    };
    Source { suite, label: None, n_unknown: 0 }
}

/// A verdict a case: most are right, every seventh is wrong, the last two are undetermined.
pub(super) fn items(source: &Source) -> Vec<Item<'_>> {
    let judged = source.suite.cases.iter().enumerate().map(|(at, case)| {
        let truth = case.outcome.is_violation();
        Item::new(case, vec![verdict(source, at, truth != (at % 7 == 0))])
    });
    judged.collect()
}

fn verdict(source: &Source, at: usize, says_violation: bool) -> Verdict {
    let failed = Verdict::undetermined(
        Cause::Timeout,
        "no time was left",
        source.suite.policy.reference(),
        "fixed",
    );
    if at >= 38 {
        return failed;
    }
    let label = if says_violation { "FV1" } else { "FV0" };
    let sure = 0.9 - 0.01 * (at % 10) as f64;
    Verdict {
        outcome: if says_violation { Outcome::Violation } else { Outcome::Clear },
        label: Some(label.to_owned()),
        rule_ids: vec![if says_violation { "FV1" } else { "FV0.a" }.to_owned()],
        score: Some(if says_violation { sure } else { 1.0 - sure }),
        score_method: ScoreMethod::Logprob,
        rationale: Some("a </td> in <b>bold</b>".to_owned()),
        reasoning: "It says \"fruit\", so FV1 <fits>.".to_owned(),
        detail: None,
        usage: Usage {
            prompt_tokens: 700,
            cached_tokens: 640,
            generated_tokens: 40 + at,
            seconds: 0.5,
        },
        ..failed
    }
}
