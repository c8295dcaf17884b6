//! The same measures for every rule and every language, and how far the groups are apart.

use std::collections::BTreeMap;

use clap::ValueEnum;
use policy::eval::{Estimate, Gap, GroupMetrics, Level, Rate, by_group, gap};
use policy::{Policy, Side};
use serde::Serialize;

use super::item::Item;
use super::matrix::expected_of;

/// What sorts items into groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum By {
    /// The item's language
    Lang,
    /// The rule that people named
    Rule,
}

impl By {
    pub(super) fn word(self) -> &'static str {
        match self {
            By::Lang => "language",
            By::Rule => "rule",
        }
    }
}

/// Where an item says nothing about its language.
const NOT_SAID: &str = "not said";

/// Groups of one kind with their measures.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Grouping {
    pub(super) by: By,
    pub(super) groups: BTreeMap<String, GroupMetrics>,
    /// Of the measures that two groups have at least.
    pub(super) gaps: Vec<RateGap>,
    /// Among languages: how many verdicts are right, for each rule that people named.
    pub(super) rules: Vec<RuleGap>,
}

/// The gap in one measure.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RateGap {
    pub(super) rate: Rate,
    #[serde(flatten)]
    pub(super) gap: Gap,
}

/// The groups within one rule.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RuleGap {
    pub(super) rule: String,
    /// The share of right verdicts.
    pub(super) groups: BTreeMap<String, Estimate>,
    pub(super) gap: Option<Gap>,
}

impl Grouping {
    pub(super) fn new(by: By, items: &[Item<'_>], level: Level) -> Grouping {
        let groups = grouped(items.iter().map(|item| (name(by, item), item)), level);
        let rate_gap = |rate| Some(RateGap { rate, gap: gap(&groups, rate, level)? });
        let rates = match by {
            By::Lang => &[Rate::Recall, Rate::Specificity, Rate::Accuracy, Rate::Determined][..],
            // A rule has one side, so recall and specificity would be the same number.
            By::Rule => &[Rate::Accuracy, Rate::Determined],
        };
        let gaps = rates.iter().copied().filter_map(rate_gap).collect();
        let rules = if by == By::Lang { rule_gaps(by, items, level) } else { Vec::new() };
        Grouping { by, groups, gaps, rules }
    }
}

/// Each violating label against all else: was it expected, was it given. Items that violate a rule that
/// nobody named are left out: which label they should have is not known.
pub(super) fn per_rule(
    policy: &Policy,
    items: &[Item<'_>],
    level: Level,
) -> BTreeMap<String, GroupMetrics> {
    let labels = policy.labels().filter(|(_, side)| *side == Side::Violating);
    let of_label = |label: &str| -> Vec<(String, bool, Option<bool>)> {
        let known = items.iter().filter(|item| !item.truth() || item.case.rule.is_some());
        known
            .map(|item| {
                let is_expected = item.truth() && item.expected_label() == Some(label);
                let is_given = item.decision.label.as_deref() == Some(label);
                let predicted = item.decision.outcome.is_violation().map(|said| said && is_given);
                (label.to_owned(), is_expected, predicted)
            })
            .collect()
    };
    by_group(labels.flat_map(|(label, _)| of_label(label)), level)
}

fn rule_gaps(by: By, items: &[Item<'_>], level: Level) -> Vec<RuleGap> {
    let mut rules: BTreeMap<&str, Vec<&Item<'_>>> = BTreeMap::new();
    for item in items {
        rules.entry(expected_of(item)).or_default().push(item);
    }
    let rule_gap = |(rule, items): (&str, Vec<&Item<'_>>)| {
        let groups = grouped(items.into_iter().map(|item| (name(by, item), item)), level);
        RuleGap {
            rule: rule.to_owned(),
            gap: gap(&groups, Rate::Accuracy, level),
            groups: groups.into_iter().map(|(group, it)| (group, it.accuracy)).collect(),
        }
    };
    rules.into_iter().map(rule_gap).collect()
}

fn grouped<'a>(
    items: impl Iterator<Item = (&'a str, &'a Item<'a>)>,
    level: Level,
) -> BTreeMap<String, GroupMetrics> {
    let rows = items.map(|(group, item)| {
        let (truth, predicted) = item.pair();
        (group.to_owned(), truth, predicted)
    });
    by_group(rows, level)
}

fn name<'a>(by: By, item: &'a Item<'_>) -> &'a str {
    match by {
        By::Lang => item.case.lang.as_deref().unwrap_or(NOT_SAID),
        By::Rule => expected_of(item),
    }
}
