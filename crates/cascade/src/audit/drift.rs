//! Notices that the recall has fallen, however long it was good before.
//!
//! The interval over a whole audit is slow to notice a late drop: all the good time weighs against it.
//! So bets against the promise are started afresh at the start and then every block of items, each
//! with its part of the starting wealth, and what is not yet bet is kept. The sum starts at 1 and
//! cannot gain on average while the recall is at or above the promise, so it ever comes to `1 / error`
//! with a probability of at most `error`, at whatever moment one looks. This is the detector of
//! Shiryaev and Roberts with weights that sum to 1; Shin, Ramdas and Rinaldo (2024), "E-detectors: a
//! nonparametric framework for sequential change detection", treat the kind.
//!
//! Bets against the same alternative grow alike from their start, so one number for each alternative
//! holds all restarts. All of them are bets on "missed" alone (see `bets.rs` for the coin), which gain
//! nothing on average at any recall from the promise up, moving or not.

use serde::{Deserialize, Serialize};

use super::seen::Seen;
use super::settings::AuditSettings;

/// The alternatives: how many times the promise's odds a missed violation has. Where the truth lies
/// between two of them, the wealth grows at more than nine tenths of the best rate (for rare misses:
/// `x ln k - k + 1` for a truth of `x` and a bet on `k`). A truth below 1.23 times the odds makes no
/// bet grow and is left to the interval.
pub(super) const TIMES: [f64; 5] = [1.5, 2.0, 3.0, 5.0, 10.0];

/// The wealth of all bets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Drift {
    /// Items since the last restart.
    n_in_block: u64,
    n_restarts: u64,
    /// The wealth in bets on each of [`TIMES`], before the share of the alternative.
    wealth: [f64; TIMES.len()],
}

/// What is kept after so many restarts. It falls from 1 to 0, and slowly, so that a late restart still
/// gets its part: about `1 / (n ln(n)^2)`.
fn kept(n_restarts: u64) -> f64 {
    1.0 / (1.0 + (n_restarts as f64).ln_1p())
}

/// The part of the starting wealth that the restart after `n_before` others gets.
pub(super) fn stake(n_before: u64) -> f64 {
    kept(n_before) - kept(n_before.saturating_add(1))
}

/// What a bet on `times` the odds is multiplied by where a violation is caught.
pub(super) fn on_caught(odds: f64, times: f64) -> f64 {
    (1.0 + odds) / (1.0 + times * odds)
}

/// What it is multiplied by where the audit finds a missed violation.
pub(super) fn on_missed(odds: f64, times: f64) -> f64 {
    times * on_caught(odds, times)
}

impl Drift {
    /// Takes in the next item.
    pub(super) fn record(&mut self, seen: Seen, settings: &AuditSettings) {
        self.begin_item(settings.restart_every.get());
        let odds = settings.odds();
        match seen {
            Seen::Caught => self.multiply(|times| on_caught(odds, times)),
            Seen::Missed => self.multiply(|times| on_missed(odds, times)),
            _ => {}
        }
    }

    /// Counts the item, which may begin a block of `restart_every`.
    fn begin_item(&mut self, restart_every: u64) {
        if self.n_in_block >= restart_every || self.n_restarts == 0 {
            let stake = stake(self.n_restarts);
            self.wealth.iter_mut().for_each(|wealth| *wealth += stake);
            self.n_restarts += 1;
            self.n_in_block = 0;
        }
        self.n_in_block += 1;
    }

    fn multiply(&mut self, factor: impl Fn(f64) -> f64) {
        for (wealth, times) in std::iter::zip(&mut self.wealth, TIMES) {
            *wealth *= factor(times);
        }
    }

    /// All bets, and what is kept.
    pub(super) fn wealth(&self) -> f64 {
        kept(self.n_restarts) + self.wealth.iter().sum::<f64>() / TIMES.len() as f64
    }

    /// Whether it can be the state of a detector.
    pub(super) fn is_sound(&self) -> bool {
        self.n_restarts < u64::MAX / 2
            && self.wealth.iter().all(|wealth| wealth.is_finite() && *wealth >= 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bet_gains_on_average_at_the_promise() {
        for odds in [1e-6, 0.01, 0.3, 4.0] {
            for times in TIMES {
                let mean = (on_caught(odds, times) + odds * on_missed(odds, times)) / (1.0 + odds);
                assert!((mean - 1.0).abs() < 1e-12, "{odds} {times}: {mean}");
            }
        }
    }

    #[test]
    fn restarts_change_who_holds_the_wealth_and_not_how_much_there_is() {
        let mut drift = Drift::default();
        for _ in 0..1000 {
            drift.begin_item(3);
            assert!((drift.wealth() - 1.0).abs() < 1e-12, "{}", drift.wealth());
        }
        assert_eq!(drift.n_restarts, 334);
    }
}
