//! How many of the held-out violations a filter catches, rule by rule.

use std::collections::BTreeMap;

use comfy_table::{Table, presets};
use policy::eval::{Level, Share};
use serde::Serialize;

use super::share;
use crate::output::{align_numbers, shortened};

/// Most characters of a rule's name.
const NAME: usize = 40;

/// One rule's violations among the items.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Caught {
    pub(super) rule: String,
    /// Violations of it.
    pub(super) positives: u64,
    /// Of these, those that score at or above the threshold.
    pub(super) caught: u64,
}

/// Counts violations with their rules and scores; one that has several rules counts for each.
pub(super) fn caught<'a>(
    positives: impl IntoIterator<Item = (&'a [String], f64)>,
    threshold: f64,
) -> Vec<Caught> {
    let mut counts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (rules, score) in positives {
        for rule in rules {
            let (n_caught, n_all) = counts.entry(rule).or_default();
            *n_caught += u64::from(score >= threshold);
            *n_all += 1;
        }
    }
    let one = |(rule, (caught, positives)): (&str, (u64, u64))| Caught {
        rule: rule.to_owned(),
        positives,
        caught,
    };
    counts.into_iter().map(one).collect()
}

/// A table for people; empty where there are no rules to tell apart.
pub(super) fn table(caught: &[Caught], at: &str) -> String {
    if caught.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "rule",
        "violations",
        "caught",
        "share",
        "interval",
    ]);
    for it in caught {
        let found = Share::new(it.caught, it.positives).unwrap_or_default().estimate(Level::P95);
        table.add_row([
            shortened(&it.rule, NAME),
            it.positives.to_string(),
            it.caught.to_string(),
            share(found.value),
            format!("{:.3}–{:.3}", found.interval.low, found.interval.high),
        ]);
    }
    align_numbers(&mut table, 1);
    format!("\nof the violations that were held out, by rule, {at}\n{}\n", table.trim_fmt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_counts_for_each_of_its_rules() {
        let rules = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
        let (both, one) = (rules(&["A1", "B1"]), rules(&["A1"]));
        let found = caught([(&both[..], 0.5), (&one[..], 0.4), (&[][..], 0.9)], 0.5);
        let counts: Vec<(&str, u64, u64)> =
            found.iter().map(|it| (it.rule.as_str(), it.positives, it.caught)).collect();
        assert_eq!(counts, [("A1", 2, 1), ("B1", 1, 1)]);
        assert_eq!(table(&[], "x"), "");
    }
}
