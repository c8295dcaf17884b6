//! What was given up for an item, and what is worth a log line or a metric.

use std::fmt;

use policy::Effort;
use serde::{Deserialize, Serialize};

use super::ladder::Rung;

/// One thing given up for one item. Goes into the verdict's record.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Step {
    /// It is judged with less effort.
    Effort {
        /// What was asked for.
        from: Effort,
        /// What it got.
        to: Effort,
    },
    /// Nobody waits for it, and it is put off.
    Deferred {
        /// At most until then, in milliseconds.
        until_ms: u64,
    },
    /// It gets fewer votes.
    Votes {
        /// What was asked for.
        from: u32,
        /// What it got.
        to: u32,
    },
    /// The filter's threshold stands above the one with the proven recall.
    Threshold {
        /// The proven one.
        proven: f64,
        /// The one applied.
        applied: f64,
    },
    /// Nothing was left; it waits.
    Queued,
    /// Nothing was left; it is undetermined.
    OverBudget,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Effort { from, to } => write!(f, "effort {to} instead of {from}"),
            Step::Deferred { until_ms } => write!(f, "deferred, at most until {until_ms} ms"),
            Step::Votes { from, to } => write!(f, "votes {to} instead of {from}"),
            Step::Threshold { proven, applied } => {
                write!(f, "filter threshold {applied} above the proven {proven}")
            }
            Step::Queued => f.write_str("queued: over budget"),
            Step::OverBudget => f.write_str("over budget"),
        }
    }
}

/// Something for the log and the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, in milliseconds.
    pub at_ms: u64,
    /// What.
    #[serde(flatten)]
    pub what: Happening,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Happening {
    /// Something was given up for an item.
    GivenUp(Step),
    /// How far down the ladder some items are now.
    Rung {
        /// Before.
        from: Rung,
        /// Now.
        to: Rung,
    },
    /// The host has not reported its compute for an eighth of a window; no more is counted on.
    HostSilent,
}
