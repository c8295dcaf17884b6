//! Expected rule against given label: where a judge takes one rule for another.

use policy::Policy;
use serde::Serialize;

use super::item::{Item, word};

/// How often each label was given where each was expected.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Matrix {
    /// What people expected: labels, or `violation` and `clear` where they named no rule.
    pub(super) expected: Vec<String>,
    /// What was given: labels, and `undetermined`.
    pub(super) given: Vec<String>,
    /// One row for each of `expected`.
    pub(super) counts: Vec<Vec<u64>>,
}

impl Matrix {
    pub(super) fn new(policy: &Policy, items: &[Item<'_>]) -> Matrix {
        let expected = in_order(policy, items.iter().map(expected_of));
        let given = in_order(policy, items.iter().map(given_of));
        let mut counts = vec![vec![0; given.len()]; expected.len()];
        for item in items {
            let row = expected.iter().position(|label| label == expected_of(item));
            let column = given.iter().position(|label| label == given_of(item));
            if let (Some(row), Some(column)) = (row, column) {
                counts[row][column] += 1;
            }
        }
        Matrix { expected, given, counts }
    }
}

/// What people expected of an item: the label of their rule, or only the outcome.
pub(super) fn expected_of<'a>(item: &'a Item<'_>) -> &'a str {
    item.expected_label().unwrap_or(word(Some(item.truth())))
}

fn given_of<'a>(item: &'a Item<'_>) -> &'a str {
    item.decision.label.as_deref().unwrap_or(word(item.decision.outcome.is_violation()))
}

/// Each word once: labels in the order of the policy, then other words.
fn in_order<'a>(policy: &Policy, words: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut words: Vec<&str> = words.collect();
    let place =
        |word: &str| policy.labels().position(|(label, _)| label == word).unwrap_or(usize::MAX);
    words.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| a.cmp(b)));
    words.dedup();
    words.into_iter().map(str::to_owned).collect()
}
