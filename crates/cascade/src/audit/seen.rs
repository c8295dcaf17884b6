//! What became of an item, the counts of it, and the estimate of the recall.

use policy::Outcome;
use serde::{Deserialize, Serialize};

use super::settings::AuditRate;

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Seen {
    /// Passed on, and a violation.
    Caught,
    /// Passed on, and clear.
    PassedClear,
    /// Passed on, and not decided.
    PassedUndetermined,
    /// Stopped by the filter and not audited.
    Stopped,
    /// Stopped, audited, and a violation.
    Missed,
    /// Stopped, audited, and clear.
    AuditedClear,
    /// Stopped, audited, and not decided.
    AuditedUndetermined,
}

impl Seen {
    /// Of an item that the filter passed on.
    pub fn passed_on(outcome: Outcome) -> Seen {
        match outcome.is_violation() {
            Some(true) => Seen::Caught,
            Some(false) => Seen::PassedClear,
            None => Seen::PassedUndetermined,
        }
    }

    /// Of an item that the filter stopped and the audit took.
    pub fn audited(outcome: Outcome) -> Seen {
        match outcome.is_violation() {
            Some(true) => Seen::Missed,
            Some(false) => Seen::AuditedClear,
            None => Seen::AuditedUndetermined,
        }
    }
}

/// How many items became what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are the variants of `Seen`")]
pub struct Counts {
    pub caught: u64,
    pub passed_clear: u64,
    pub passed_undetermined: u64,
    pub stopped: u64,
    pub missed: u64,
    pub audited_clear: u64,
    pub audited_undetermined: u64,
}

/// The recall over a whole audit, by the items' weights. Shares from 0 to 1; `None` where no
/// violation was found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RecallEstimate {
    /// Violations passed on.
    pub caught: u64,
    /// Missed violations among all stopped items: those found by the audit, each weighted with
    /// `1 / rate` (Horvitz and Thompson 1952). This number is unbiased.
    pub missed: f64,
    /// The standard error of `missed` that the draw of audited items brings.
    pub missed_error: f64,
    /// `caught / (caught + missed)`. A ratio of unbiased numbers: it comes as close to the true
    /// recall as one likes with enough items, but is not itself unbiased.
    pub recall: Option<f64>,
    /// The same, had every undetermined audited item been a missed violation.
    pub recall_at_worst: Option<f64>,
}

impl Counts {
    pub(super) fn add(&mut self, seen: Seen) {
        let count = match seen {
            Seen::Caught => &mut self.caught,
            Seen::PassedClear => &mut self.passed_clear,
            Seen::PassedUndetermined => &mut self.passed_undetermined,
            Seen::Stopped => &mut self.stopped,
            Seen::Missed => &mut self.missed,
            Seen::AuditedClear => &mut self.audited_clear,
            Seen::AuditedUndetermined => &mut self.audited_undetermined,
        };
        *count = count.saturating_add(1);
    }

    /// All of them; stops at the end of `u64`.
    pub fn n_items(&self) -> u64 {
        let passed_on = [self.caught, self.passed_clear, self.passed_undetermined];
        let stopped = [self.stopped, self.missed, self.audited_clear, self.audited_undetermined];
        passed_on.into_iter().chain(stopped).fold(0, u64::saturating_add)
    }

    pub(super) fn estimate(&self, rate: AuditRate) -> RecallEstimate {
        let rate = rate.value();
        let missed = self.missed as f64 / rate;
        let suspected = missed + self.audited_undetermined as f64 / rate;
        RecallEstimate {
            caught: self.caught,
            missed,
            missed_error: (self.missed as f64 * (1.0 - rate)).sqrt() / rate,
            recall: self.recall(missed),
            recall_at_worst: self.recall(suspected),
        }
    }

    fn recall(&self, missed: f64) -> Option<f64> {
        let caught = self.caught as f64;
        (caught + missed > 0.0).then(|| caught / (caught + missed))
    }
}
