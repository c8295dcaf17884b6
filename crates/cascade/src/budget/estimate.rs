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

/// How many estimates there are.
pub(super) const N_KINDS: usize = 4;

/// The place of a verdict's estimate: that of its effort, or the last where it is direct, which costs the same at every
/// effort.
pub(super) fn kind(effort: Effort, direct: bool) -> usize {
    if direct { N_KINDS - 1 } else { rank(effort) }
}

/// One estimate for each effort, and one for direct verdicts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimates([Estimate; N_KINDS]);

impl Estimates {
    pub(super) fn new(guess: &PerEffort) -> Estimates {
        // A direct verdict costs less than one at low effort, and too high a guess is safe.
        Estimates([guess.low, guess.medium, guess.high, guess.low].map(Estimate::guess))
    }

    /// By its [`kind`].
    pub(super) fn of(&self, kind: usize) -> &Estimate {
        &self.0[kind]
    }

    pub(super) fn learn(&mut self, kind: usize, cost: f64, duration_ms: f64) {
        self.0[kind].learn(cost, duration_ms);
    }

    /// The means of verdicts with reasoning.
    pub(super) fn means(&self) -> PerEffort {
        let [low, medium, high, _] = self.0.map(|estimate| estimate.mean);
        PerEffort { low, medium, high }
    }
}
