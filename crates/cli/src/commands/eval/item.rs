//! One item with its verdicts, and the one decision that they come to.

use policy::{Effort, GoldenCase, Verdict, label_of};
use serde::Serialize;

use policy::eval::Scored;

/// Why there is no decision where every vote is one.
const NO_MAJORITY: &str = "no_majority";

/// A case that was judged.
pub(super) struct Item<'a> {
    pub(super) case: &'a GoldenCase,
    /// One a vote; never empty.
    pub(super) verdicts: Vec<Verdict>,
    pub(super) decision: Decision,
}

/// What the votes come to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Decision {
    /// Whether it violates; `None` where undetermined.
    pub(super) is_violation: Option<bool>,
    /// Why it is undetermined, as JSON names causes.
    pub(super) cause: Option<String>,
    /// The most common label of the votes that agree with the decision.
    pub(super) label: Option<String>,
    /// The mean of the votes' scores; none where undetermined.
    pub(super) score: Option<f64>,
    /// The same of their calibrated scores, where the policy has a calibration.
    pub(super) probability: Option<f64>,
    /// The vote to show: the first that agrees.
    pub(super) telling: usize,
}

impl<'a> Item<'a> {
    pub(super) fn new(case: &'a GoldenCase, verdicts: Vec<Verdict>) -> Item<'a> {
        let decision = Decision::of(&verdicts);
        Item { case, verdicts, decision }
    }

    /// What people agreed on.
    pub(super) fn truth(&self) -> bool {
        self.case.outcome.is_violation()
    }

    /// Truth and prediction, as `policy::eval` counts them.
    pub(super) fn pair(&self) -> (bool, Option<bool>) {
        (self.truth(), self.decision.is_violation)
    }

    /// The score beside the truth, where there is one.
    pub(super) fn scored(&self) -> Option<Scored> {
        Scored::new(self.truth(), self.decision.score?)
    }

    /// The calibrated score beside the truth, where there is one.
    pub(super) fn calibrated(&self) -> Option<Scored> {
        Scored::new(self.truth(), self.decision.probability?)
    }

    /// Undetermined is not right.
    pub(super) fn is_right(&self) -> bool {
        self.decision.is_violation == Some(self.truth())
    }

    pub(super) fn telling(&self) -> &Verdict {
        &self.verdicts[self.decision.telling]
    }

    /// The base code of the rule that people agreed on.
    pub(super) fn expected_label(&self) -> Option<&str> {
        self.case.rule.as_deref().map(label_of)
    }

    pub(super) fn report(&self) -> ItemReport {
        let telling = self.telling();
        let votes =
            self.verdicts.iter().map(|verdict| word(verdict.outcome.is_violation()).to_owned());
        ItemReport {
            id: self.case.id.clone(),
            expected: word(Some(self.truth())).to_owned(),
            expected_rule: self.case.rule.clone(),
            lang: self.case.lang.clone(),
            outcome: word(self.decision.is_violation).to_owned(),
            cause: self.decision.cause.clone(),
            is_right: self.is_right(),
            label: self.decision.label.clone(),
            rule_ids: telling.rule_ids.clone(),
            score: self.decision.score,
            probability: self.decision.probability,
            votes: votes.collect(),
            rationale: telling.rationale.clone(),
            reasoning: telling.reasoning.clone(),
            detail: telling.detail.clone(),
        }
    }
}

/// An item as it goes into JSON. The content itself stays in its file.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ItemReport {
    pub(super) id: String,
    pub(super) expected: String,
    pub(super) expected_rule: Option<String>,
    pub(super) lang: Option<String>,
    pub(super) outcome: String,
    pub(super) cause: Option<String>,
    pub(super) is_right: bool,
    pub(super) label: Option<String>,
    pub(super) rule_ids: Vec<String>,
    pub(super) score: Option<f64>,
    /// The score calibrated; `None` where the policy has no calibration for this judge.
    pub(super) probability: Option<f64>,
    /// The outcome of every vote, in the order of the seeds.
    pub(super) votes: Vec<String>,
    pub(super) rationale: Option<String>,
    pub(super) reasoning: String,
    pub(super) detail: Option<String>,
}

impl Decision {
    /// More than half of all votes must agree: one that is undetermined is no vote for anything.
    fn of(verdicts: &[Verdict]) -> Decision {
        let n_votes =
            |side| verdicts.iter().filter(|one| one.outcome.is_violation() == Some(side)).count();
        let majority = [true, false].into_iter().find(|&side| 2 * n_votes(side) > verdicts.len());
        let telling = verdicts
            .iter()
            .position(|verdict| verdict.outcome.is_violation() == majority)
            .unwrap_or(0);
        let Some(side) = majority else {
            let cause =
                most_common(verdicts.iter().filter_map(|verdict| verdict.outcome.names().1));
            let cause = Some(cause.unwrap_or_else(|| NO_MAJORITY.to_owned()));
            let (label, score, probability) = (None, None, None);
            return Decision { is_violation: None, cause, label, score, probability, telling };
        };
        let agreeing =
            verdicts.iter().filter(|verdict| verdict.outcome.is_violation() == Some(side));
        Decision {
            is_violation: Some(side),
            cause: None,
            label: most_common(agreeing.filter_map(|verdict| verdict.label.clone())),
            score: mean(verdicts.iter().filter_map(|verdict| verdict.score)),
            probability: mean(verdicts.iter().filter_map(|verdict| verdict.probability)),
            telling,
        }
    }
}

/// An outcome's word.
pub(super) fn word(is_violation: Option<bool>) -> &'static str {
    match is_violation {
        Some(true) => "violation",
        Some(false) => "clear",
        None => "undetermined",
    }
}

/// What was asked for, in words.
pub(super) fn effort_word(effort: Option<Effort>) -> String {
    effort.map_or_else(|| "as the policy says".to_owned(), |effort| effort.to_string())
}

/// `None` of nothing.
fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let numbers: Vec<f64> = numbers.collect();
    (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
}

/// The first among the most common.
fn most_common(words: impl Iterator<Item = String>) -> Option<String> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for word in words {
        match counts.iter_mut().find(|(other, _)| *other == word) {
            Some((_, count)) => *count += 1,
            None => counts.push((word, 1)),
        }
    }
    // Of equals `max_by_key` takes the last.
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(word, _)| word)
}

#[cfg(test)]
mod tests {
    use policy::{Cause, Outcome, PolicyId, PolicyRef};

    use super::*;

    fn vote(outcome: Outcome, label: &str, score: Option<f64>) -> Verdict {
        let policy = PolicyRef { name: "p".to_owned(), id: PolicyId("0".to_owned()) };
        Verdict {
            outcome,
            label: Some(label.to_owned()),
            score,
            ..Verdict::undetermined(Cause::Timeout, "", policy, "m")
        }
    }

    #[test]
    fn more_than_half_decide_and_the_score_is_the_mean() {
        let votes = [
            vote(Outcome::Clear, "F0", Some(0.3)),
            vote(Outcome::Violation, "F2", Some(0.6)),
            vote(Outcome::Violation, "F2", Some(0.9)),
            vote(Outcome::Violation, "F1", None),
        ];
        let decision = Decision::of(&votes);
        assert_eq!(decision.is_violation, Some(true));
        assert_eq!(decision.label.as_deref(), Some("F2"));
        assert_eq!(decision.telling, 1);
        assert!((decision.score.expect("a mean") - 0.6).abs() < 1e-12);
    }

    #[test]
    fn half_is_no_majority_and_failures_decide_nothing() {
        let (yes, no) = (vote(Outcome::Violation, "F1", None), vote(Outcome::Clear, "F0", None));
        let failed = vote(Outcome::Undetermined(Cause::BackendError), "", None);
        for (votes, cause) in [
            (vec![yes.clone(), no.clone()], "no_majority"),
            (vec![no.clone(), failed.clone()], "backend_error"),
            (vec![no, failed, yes], "backend_error"),
        ] {
            let decision = Decision::of(&votes);
            assert_eq!((decision.is_violation, decision.score), (None, None));
            assert_eq!(decision.cause.as_deref(), Some(cause));
        }
    }
}
