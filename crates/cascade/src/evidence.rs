//! What a calibration found: the threshold, what it proves, and what it costs. Kept in the filter's
//! file, so that anyone can check the promise without the data.

use policy::eval::{Estimate, Interval, Level, Share};
use serde::{Deserialize, Serialize};

use crate::error::CascadeError;
use crate::promise::Promise;

/// More positives than any file can mean; a bound for that many would take long.
const MAX_POSITIVES: u64 = 1 << 32;

/// How far a bound computed on another machine may lie from ours.
const ROUNDING: f64 = 1e-9;

/// A calibrated threshold with its proof.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Evidence {
    /// How sure each row is of its recall, from 0.5 to below 1. It is meant row by row, not for all
    /// rows at once.
    pub confidence: f64,
    /// Violating items in the calibration data.
    pub n_positives: u64,
    /// Clear items in the calibration data.
    pub n_negatives: u64,
    /// The share of violating items in real traffic, if it was given.
    pub base_rate: Option<f64>,
    /// The promise that the filter is bound to.
    pub chosen: PromiseRow,
    /// What other promises would cost, by rising recall; only those that the data can prove.
    pub table: Vec<PromiseRow>,
}

/// One promised recall, the threshold that keeps it, and what it passes on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PromiseRow {
    /// The promise: at least this share of the violating items is passed on.
    pub recall: f64,
    /// The threshold is the `k`-th smallest score of the positives, from 1.
    pub k: u64,
    /// The recall that is proven, at or above the promise.
    pub proven_recall: f64,
    /// Scores at or above it pass on.
    pub threshold: f64,
    /// Positives of the calibration data that pass on.
    pub passed_positives: u64,
    /// Negatives of the calibration data that pass on.
    pub passed_negatives: u64,
}

/// The share passed on in real traffic.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct WeightedShare {
    /// From 0 to 1.
    pub value: f64,
    /// Where the true share may be, the base rate taken as known.
    pub interval: Interval,
}

impl Evidence {
    /// The share of the calibration data that `row` passes on, with its Wilson interval.
    pub fn passed_on(&self, row: &PromiseRow, level: Level) -> Estimate {
        let hits = row.passed_positives.saturating_add(row.passed_negatives);
        let of = self.n_positives.saturating_add(self.n_negatives);
        Share::new(hits, of).unwrap_or_default().estimate(level)
    }

    /// The share of real traffic that `row` passes on: its shares of positives and of negatives,
    /// weighted by the base rate. `None` without a base rate, or without negatives to measure on.
    ///
    /// The interval joins the two Wilson intervals as Zou and Donner (2008), "Construction of
    /// confidence limits about effect measures", do for a sum.
    pub fn passed_on_in_traffic(&self, row: &PromiseRow, level: Level) -> Option<WeightedShare> {
        let base_rate = self.base_rate?;
        let positives = Share::new(row.passed_positives, self.n_positives)?.estimate(level);
        let negatives = Share::new(row.passed_negatives, self.n_negatives)?.estimate(level);
        let (p, q) = (base_rate * positives.value?, (1.0 - base_rate) * negatives.value?);
        let reach = |of_positives: f64, of_negatives: f64| {
            (base_rate * of_positives - p).hypot((1.0 - base_rate) * of_negatives - q)
        };
        let below = reach(positives.interval.low, negatives.interval.low);
        let above = reach(positives.interval.high, negatives.interval.high);
        let value = p + q;
        let interval = Interval { low: (value - below).max(0.0), high: (value + above).min(1.0) };
        Some(WeightedShare { value, interval })
    }
}

/// Evidence as it stands in a file.
#[derive(Deserialize)]
struct Unchecked {
    confidence: f64,
    n_positives: u64,
    n_negatives: u64,
    base_rate: Option<f64>,
    chosen: PromiseRow,
    table: Vec<PromiseRow>,
}

impl TryFrom<Unchecked> for Evidence {
    type Error = CascadeError;

    /// Whatever follows from the counts must follow: a file that promises more than its counts prove
    /// is refused.
    fn try_from(unchecked: Unchecked) -> Result<Evidence, CascadeError> {
        let Unchecked { confidence, n_positives, n_negatives, base_rate, chosen, table } =
            unchecked;
        let level = Level::new(confidence).ok_or(CascadeError::Confidence { confidence })?;
        if let Some(base_rate) = base_rate.filter(|rate| !(0.0..=1.0).contains(rate)) {
            return Err(CascadeError::BaseRate { base_rate });
        }
        for row in std::iter::once(&chosen).chain(&table) {
            let promise = Promise::new(row.recall, level)?;
            if !row.follows_from(promise, n_positives, n_negatives) {
                return Err(CascadeError::Evidence { recall: row.recall });
            }
        }
        Ok(Evidence { confidence, n_positives, n_negatives, base_rate, chosen, table })
    }
}

impl PromiseRow {
    fn follows_from(&self, promise: Promise, n_positives: u64, n_negatives: u64) -> bool {
        let in_range = (1..=n_positives).contains(&self.k) && n_positives <= MAX_POSITIVES;
        let proven = if in_range { promise.proven_recall(n_positives, self.k) } else { 0.0 };
        self.threshold.is_finite()
            && proven >= promise.recall()
            && (self.proven_recall - proven).abs() <= ROUNDING
            && (n_positives + 1 - self.k..=n_positives).contains(&self.passed_positives)
            && self.passed_negatives <= n_negatives
    }
}
