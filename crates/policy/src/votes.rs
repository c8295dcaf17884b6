//! Several verdicts on one item, and what more than half of them say.

use serde::{Deserialize, Serialize};

use crate::verdict::{Cause, Outcome, Verdict};

/// How many votes there were, by what they said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Votes {
    /// For a violation.
    pub violation: usize,
    /// For clear.
    pub clear: usize,
    /// For nothing.
    pub undetermined: usize,
}

impl Votes {
    /// Whether all say the same.
    pub fn are_unanimous(&self) -> bool {
        [self.violation, self.clear, self.undetermined].iter().filter(|n| **n > 0).count() <= 1
    }
}

/// What votes come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Majority {
    /// What more than half of all votes say; else undetermined, by the most common cause or for want of a majority.
    pub outcome: Outcome,
    /// The most common label of the votes that agree with it.
    pub label: Option<String>,
    /// The mean of the votes' scores; none where undetermined.
    pub score: Option<f64>,
    /// The same of their calibrated scores.
    pub probability: Option<f64>,
    /// The vote to show: the first that agrees; 0 where none does.
    pub telling: usize,
    /// The votes.
    pub votes: Votes,
}

impl Majority {
    /// More than half of all votes must agree: one that is undetermined is no vote for anything.
    pub fn of(verdicts: &[Verdict]) -> Majority {
        let n_votes =
            |said| verdicts.iter().filter(|one| one.outcome.is_violation() == said).count();
        let votes = Votes {
            violation: n_votes(Some(true)),
            clear: n_votes(Some(false)),
            undetermined: n_votes(None),
        };
        let decided = [(votes.violation, Outcome::Violation), (votes.clear, Outcome::Clear)]
            .into_iter()
            .find_map(|(n_votes, outcome)| (2 * n_votes > verdicts.len()).then_some(outcome));
        let Some(outcome) = decided else { return Majority::none(verdicts, votes) };
        let is_agreeing = |verdict: &&Verdict| verdict.outcome == outcome;
        let agreeing = verdicts.iter().filter(is_agreeing);
        Majority {
            outcome,
            label: most_common(agreeing.filter_map(|verdict| verdict.label.clone())),
            score: mean(verdicts.iter().filter_map(|verdict| verdict.score)),
            probability: mean(verdicts.iter().filter_map(|verdict| verdict.probability)),
            telling: verdicts.iter().position(|it| is_agreeing(&it)).unwrap_or(0),
            votes,
        }
    }

    fn none(verdicts: &[Verdict], votes: Votes) -> Majority {
        let cause = most_common(verdicts.iter().filter_map(|verdict| match verdict.outcome {
            Outcome::Undetermined(cause) => Some(cause),
            _ => None,
        }));
        let telling = verdicts.iter().position(|verdict| verdict.outcome.is_violation().is_none());
        Majority {
            outcome: Outcome::Undetermined(cause.unwrap_or(Cause::NoMajority)),
            label: None,
            score: None,
            probability: None,
            telling: telling.unwrap_or(0),
            votes,
        }
    }
}

/// `None` of nothing.
fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let numbers: Vec<f64> = numbers.collect();
    (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
}

/// The first among the most common.
fn most_common<T: PartialEq>(all: impl Iterator<Item = T>) -> Option<T> {
    let mut counts: Vec<(T, usize)> = Vec::new();
    for one in all {
        match counts.iter_mut().find(|(other, _)| *other == one) {
            Some((_, count)) => *count += 1,
            None => counts.push((one, 1)),
        }
    }
    // Of equals `max_by_key` takes the last.
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(one, _)| one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PolicyId, PolicyRef};

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
        let majority = Majority::of(&votes);
        assert_eq!(majority.outcome, Outcome::Violation);
        assert_eq!(majority.label.as_deref(), Some("F2"));
        assert_eq!(majority.telling, 1);
        assert!((majority.score.expect("a mean") - 0.6).abs() < 1e-12);
        assert!(!majority.votes.are_unanimous());
    }

    #[test]
    fn half_is_no_majority_and_failures_decide_nothing() {
        let (yes, no) = (vote(Outcome::Violation, "F1", None), vote(Outcome::Clear, "F0", None));
        let failed = vote(Outcome::Undetermined(Cause::BackendError), "", None);
        for (votes, cause) in [
            (vec![yes.clone(), no.clone()], Cause::NoMajority),
            (vec![no.clone(), failed.clone()], Cause::BackendError),
            (vec![no, failed, yes], Cause::BackendError),
        ] {
            let majority = Majority::of(&votes);
            assert_eq!(majority.outcome, Outcome::Undetermined(cause));
            assert_eq!((majority.label, majority.score), (None, None));
        }
    }
}
