//! What a verdict costs and how long it takes, learned as verdicts come back.

use super::ladder::rank;
use super::settings::PerEffort;
use policy::Effort;

/// A verdict's weight in the running means once there are many: they follow the last thirty or so.
const MIN_WEIGHT: f64 = 1.0 / 30.0;
/// How many verdicts the first guess counts as.
const PRIOR_VERDICTS: f64 = 2.0;

/// Running mean and variance of one verdict's cost, in the limit's unit, and of its time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate {
    pub(super) mean: f64,
    pub(super) variance: f64,
    /// From grant to return, in milliseconds.
    pub(super) duration_ms: f64,
    n_seen: f64,
}

impl Estimate {
    /// As uncertain as it is large, and instantaneous until something is known.
    fn guess(mean: f64) -> Estimate {
        Estimate { mean, variance: mean * mean, duration_ms: 0.0, n_seen: 0.0 }
    }

    fn learn(&mut self, cost: f64, duration_ms: f64) {
        self.n_seen += 1.0;
        let weight = (1.0 / (self.n_seen + PRIOR_VERDICTS)).max(MIN_WEIGHT);
        let off = cost - self.mean;
        self.mean += weight * off;
        // West (1979): the running variance that goes with the running mean.
        self.variance = (1.0 - weight) * (self.variance + weight * off * off);
        let weight = (1.0 / self.n_seen).max(MIN_WEIGHT);
        self.duration_ms += weight * (duration_ms - self.duration_ms);
    }
}

/// One estimate for each effort.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimates([Estimate; 3]);

impl Estimates {
    pub(super) fn new(guess: &PerEffort) -> Estimates {
        Estimates([guess.low, guess.medium, guess.high].map(Estimate::guess))
    }

    pub(super) fn of(&self, effort: Effort) -> &Estimate {
        &self.0[rank(effort)]
    }

    /// `rank` is that of the effort.
    pub(super) fn learn(&mut self, rank: usize, cost: f64, duration_ms: f64) {
        self.0[rank].learn(cost, duration_ms);
    }

    /// The means.
    pub(super) fn means(&self) -> PerEffort {
        let [low, medium, high] = self.0.map(|estimate| estimate.mean);
        PerEffort { low, medium, high }
    }
}
