//! The same measures for every rule, language or whatever else sorts contents into groups, and how
//! far the groups are apart.

use std::collections::BTreeMap;

use serde::Serialize;

use super::confusion::{Confusion, Rate};
use super::interval::{Interval, newcombe};
use super::share::{Estimate, Level};

/// A group's counts and measures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GroupMetrics {
    /// The counts.
    pub confusion: Confusion,
    /// With its Wilson interval, as all that follow.
    pub precision: Estimate,
    /// See [`Rate::Recall`].
    pub recall: Estimate,
    /// See [`Rate::Specificity`].
    pub specificity: Estimate,
    /// See [`Rate::Accuracy`].
    pub accuracy: Estimate,
    /// See [`Rate::Determined`].
    pub determined: Estimate,
    /// See [`Confusion::f1`].
    pub f1: Option<f64>,
}

impl GroupMetrics {
    /// The measures of `confusion`, with intervals at `level`.
    pub fn new(confusion: Confusion, level: Level) -> GroupMetrics {
        let estimate = |rate| confusion.share(rate).estimate(level);
        GroupMetrics {
            confusion,
            precision: estimate(Rate::Precision),
            recall: estimate(Rate::Recall),
            specificity: estimate(Rate::Specificity),
            accuracy: estimate(Rate::Accuracy),
            determined: estimate(Rate::Determined),
            f1: confusion.f1(),
        }
    }
}

/// Measures by group, of groups with truths and predictions as in [`Confusion::record`]. A content
/// that belongs to several groups comes once for each.
pub fn by_group(
    items: impl IntoIterator<Item = (String, bool, Option<bool>)>,
    level: Level,
) -> BTreeMap<String, GroupMetrics> {
    let mut groups: BTreeMap<String, Confusion> = BTreeMap::new();
    for (group, truth, predicted) in items {
        groups.entry(group).or_default().record(truth, predicted);
    }
    groups
        .into_iter()
        .map(|(group, confusion)| (group, GroupMetrics::new(confusion, level)))
        .collect()
}

/// How far the best group is ahead of the worst.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gap {
    /// The group with the highest value, the first by name among equals.
    pub best: String,
    /// The group with the lowest value, the last by name among equals.
    pub worst: String,
    /// The highest value less the lowest, from 0 to 1.
    pub difference: f64,
    /// Newcombe's, of the difference. It does not know that these two were picked as the extremes
    /// of many, so among many small groups even an interval above 0 may be chance.
    pub interval: Interval,
}

/// The gap in one measure, among the groups that have it; `None` where fewer than two do.
pub fn gap(groups: &BTreeMap<String, GroupMetrics>, rate: Rate, level: Level) -> Option<Gap> {
    let shares = || {
        groups.iter().filter_map(|(group, metrics)| {
            let share = metrics.confusion.share(rate);
            Some((group, share, share.value()?))
        })
    };
    if shares().count() < 2 {
        return None;
    }
    // Of equals `max_by` takes the last and `min_by` the first, hence the reversed order.
    let (best, high, most) = shares().rev().max_by(|a, b| a.2.total_cmp(&b.2))?;
    let (worst, low, least) = shares().rev().min_by(|a, b| a.2.total_cmp(&b.2))?;
    Some(Gap {
        best: best.clone(),
        worst: worst.clone(),
        difference: most - least,
        interval: newcombe(high, low, level)?,
    })
}
