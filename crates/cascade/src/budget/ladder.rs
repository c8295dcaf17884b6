//! The order in which things are given up, and what an item gets on each rung.

use std::fmt;

use policy::Effort;
use serde::{Deserialize, Serialize};

use super::item::{Item, Wait};
use super::step::Step;

/// How far things are given up; each rung includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// Nothing.
    Full,
    /// High effort.
    MediumEffort,
    /// Medium effort.
    LowEffort,
    /// The promptness of asynchronous work.
    Defer,
    /// More than one vote.
    OneVote,
    /// The proven threshold of filters; only where allowed.
    RaiseThreshold,
}

impl Rung {
    /// All of them, in order.
    pub const ALL: [Rung; N_RUNGS] = [
        Rung::Full,
        Rung::MediumEffort,
        Rung::LowEffort,
        Rung::Defer,
        Rung::OneVote,
        Rung::RaiseThreshold,
    ];
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rung::Full => "full",
            Rung::MediumEffort => "medium effort",
            Rung::LowEffort => "low effort",
            Rung::Defer => "defer",
            Rung::OneVote => "one vote",
            Rung::RaiseThreshold => "raise threshold",
        })
    }
}

pub(super) const N_RUNGS: usize = 6;

/// What an item gets on a rung.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Plan {
    /// A verdict, at this effort and with so many votes.
    Judge(Effort, u32),
    /// Nothing before this moment, in milliseconds.
    Defer(u64),
    /// The filter's word, under this threshold.
    Filter(f64),
}

impl Plan {
    /// `raise`, 0 to 1, is how far thresholds are raised on the last rung.
    pub(super) fn of(item: &Item, rung: Rung, raise: f64, now_ms: u64) -> Plan {
        let most = match rung {
            Rung::Full => Effort::High,
            Rung::MediumEffort => Effort::Medium,
            _ => Effort::Low,
        };
        let is_too_dear = !item.direct && rank(item.effort) > rank(most);
        let effort = if is_too_dear { most } else { item.effort };
        let votes = if rung >= Rung::OneVote { 1 } else { item.votes.max(1) };
        if rung >= Rung::RaiseThreshold
            && let Some(passed) = item.passed
        {
            let threshold = passed.proven + raise * (passed.highest - passed.proven);
            if passed.score < threshold {
                return Plan::Filter(threshold);
            }
        }
        match item.wait {
            Wait::Until(until_ms) if rung >= Rung::Defer && now_ms < until_ms => {
                Plan::Defer(until_ms)
            }
            _ => Plan::Judge(effort, votes),
        }
    }

    /// What the plan takes from the item.
    pub(super) fn given_up(self, item: &Item) -> Vec<Step> {
        match self {
            Plan::Judge(effort, votes) => {
                let lower = (effort != item.effort)
                    .then_some(Step::Effort { from: item.effort, to: effort });
                let fewer =
                    (votes < item.votes).then_some(Step::Votes { from: item.votes, to: votes });
                lower.into_iter().chain(fewer).collect()
            }
            Plan::Defer(until_ms) => vec![Step::Deferred { until_ms }],
            Plan::Filter(applied) => {
                let proven = item.passed.map_or(applied, |passed| passed.proven);
                vec![Step::Threshold { proven, applied }]
            }
        }
    }
}

/// Low to high, from 0.
pub(super) fn rank(effort: Effort) -> usize {
    match effort {
        Effort::Low => 0,
        Effort::Medium => 1,
        Effort::High => 2,
    }
}
