//! The live audit: whether the filter still keeps its promise on the traffic of today.
//!
//! Everything that the filter passes on is judged anyway. Of what it stops, a random share (the audit
//! rate) is judged as well; each violation found there stands for `1 / rate` of its kind. "Violation"
//! means: by the verdict of the judge behind the filter. Recall is the share passed on of the
//! violating items.
//!
//! `settings.rs` says which items are audited, `seen.rs` what is counted and the estimate, `bets.rs`
//! holds the interval that is valid at every moment, `drift.rs` the detector of a drop after a long
//! good time, `forecast.rs` how long that takes. [`Audit`] puts them together.
//!
//! # Undetermined verdicts
//!
//! They are never clear. The lower end of the interval counts every undetermined audited item as a
//! missed violation, so the audit is [`AuditState::Holding`] only if the promise holds however these would have been
//! judged; the upper end and the drift detector, from which alarms come, leave them out. An item that
//! was passed on and not decided counts on neither side.
//!
//! # Errors of the alarm
//!
//! What the promise's confidence leaves out (0.05 at 0.95) is shared in halves by the interval and
//! the drift detector. So with a true recall at or above the promise throughout, however it moves and
//! however long the audit runs, the alarm is ever raised with a probability of at most that.

mod bets;
mod drift;
mod forecast;
mod seen;
mod settings;

use policy::eval::Interval;
use serde::{Deserialize, Serialize};

use crate::error::CascadeError;
use bets::Bets;
use drift::Drift;

pub use forecast::{Forecast, RecallDrop, forecast};
pub use seen::{Counts, RecallEstimate, Seen};
pub use settings::{AuditRate, AuditSettings, RESTART_EVERY};

/// The audit of one filter under one policy, at one rate. When any of them changes, begin another.
///
/// Its size is fixed; each item costs a few additions, and each violation found a few logarithms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Audit {
    settings: AuditSettings,
    counts: Counts,
    /// For the lower end: undetermined audited items are missed violations.
    cautious: Bets,
    /// For the upper end and the alarm: they are left out.
    plain: Bets,
    drift: Drift,
    alarm: Option<Alarm>,
}

/// What can be said about the promise at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditState {
    /// The interval lies at or above the promise.
    Holding,
    /// The interval holds the promise: the usual state of a young audit.
    Unproven,
    /// The alarm was raised: the recall is, or for a time was, below the promise.
    Broken,
}

/// When the promise was found broken, and by what. It stays until another audit is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Items seen by then, this one included.
    pub n_items: u64,
    /// What noticed.
    pub cause: AlarmCause,
}

/// What raised an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmCause {
    /// The upper end of the interval over the whole audit fell below the promise.
    Interval,
    /// The recall has been below the promise since some recent moment.
    Drift,
}

impl Audit {
    /// An audit that has seen nothing.
    pub fn new(settings: AuditSettings) -> Audit {
        Audit {
            settings,
            counts: Counts::default(),
            cautious: Bets::default(),
            plain: Bets::default(),
            drift: Drift::default(),
            alarm: None,
        }
    }

    /// What it was begun with.
    pub fn settings(&self) -> &AuditSettings {
        &self.settings
    }

    /// What it has seen.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Takes in the next item. Returns the alarm if this item raised it.
    pub fn record(&mut self, seen: Seen) -> Option<Alarm> {
        self.counts.add(seen);
        match seen {
            Seen::Caught => {
                self.cautious.caught();
                self.plain.caught();
            }
            Seen::Missed => {
                self.cautious.missed();
                self.plain.missed();
            }
            Seen::AuditedUndetermined => self.cautious.missed(),
            Seen::PassedClear | Seen::PassedUndetermined | Seen::Stopped | Seen::AuditedClear => {}
        }
        if self.alarm.is_some() {
            return None;
        }
        self.drift.record(seen, &self.settings);
        if matches!(seen, Seen::Caught | Seen::Missed) {
            self.alarm = self.check();
        }
        self.alarm
    }

    /// The alarm, if one was raised.
    pub fn alarm(&self) -> Option<Alarm> {
        self.alarm
    }

    /// Whether the promise holds.
    pub fn state(&self) -> AuditState {
        let promise = self.settings.promise.recall();
        if self.alarm.is_some() {
            AuditState::Broken
        } else if self.cautious.lies_above(promise, self.settings.rate.value(), self.log_limit()) {
            AuditState::Holding
        } else {
            AuditState::Unproven
        }
    }

    /// The estimate of the recall over the whole audit.
    pub fn estimate(&self) -> RecallEstimate {
        self.counts.estimate(self.settings.rate)
    }

    /// Where the recall over the whole audit may be. If it stays the same, the interval holds it at
    /// every moment with the promise's confidence; if it moves, see `bets.rs`.
    pub fn interval(&self) -> Interval {
        let (rate, log_limit) = (self.settings.rate.value(), self.log_limit());
        Interval {
            low: self.cautious.low_end(rate, log_limit),
            high: self.plain.high_end(rate, log_limit),
        }
    }

    fn check(&self) -> Option<Alarm> {
        let promise = self.settings.promise.recall();
        let log_limit = self.log_limit();
        let cause = if self.plain.lies_below(promise, self.settings.rate.value(), log_limit) {
            AlarmCause::Interval
        } else if self.drift.wealth().ln() >= log_limit {
            AlarmCause::Drift
        } else {
            return None;
        };
        Some(Alarm { n_items: self.counts.n_items(), cause })
    }

    fn log_limit(&self) -> f64 {
        self.settings.log_limit()
    }
}

/// An audit as it stands in a file.
#[derive(Deserialize)]
struct Unchecked {
    settings: AuditSettings,
    counts: Counts,
    cautious: Bets,
    plain: Bets,
    drift: Drift,
    alarm: Option<Alarm>,
}

impl TryFrom<Unchecked> for Audit {
    type Error = CascadeError;

    fn try_from(unchecked: Unchecked) -> Result<Audit, CascadeError> {
        let Unchecked { settings, counts, cautious, plain, drift, alarm } = unchecked;
        let suspected = counts.missed.saturating_add(counts.audited_undetermined);
        if plain.follows_from(counts.caught, counts.missed)
            && cautious.follows_from(counts.caught, suspected)
            && drift.is_sound()
        {
            Ok(Audit { settings, counts, cautious, plain, drift, alarm })
        } else {
            Err(CascadeError::AuditState)
        }
    }
}
