//! Whether a score of 0.8 is right eight times of ten: bins, and the numbers that sum it up.

use serde::Serialize;

use super::scored::Scored;
use super::share::Share;

/// Contents of like score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bin {
    /// Scores above this; from 0 in the first bin.
    pub low: f64,
    /// Scores up to this.
    pub high: f64,
    /// Of the contents in the bin; `None` in an empty one.
    pub mean_score: Option<f64>,
    /// Violations among them.
    pub violations: Share,
}

/// Bins of equal width over 0 to 1, lowest first, with an edge in the bin below it, as
/// scikit-learn's `calibration_curve`. Empty bins stay; 0 bins are taken as one.
pub fn reliability(items: &[Scored], n_bins: usize) -> Vec<Bin> {
    let n_bins = n_bins.max(1);
    let width = 1.0 / n_bins as f64;
    let inner: Vec<f64> = (1..n_bins).map(|edge| edge as f64 * width).collect();
    let mut sums = vec![(0.0, 0_u64, 0_u64); n_bins];
    for item in items {
        let (score, hits, of) = &mut sums[inner.partition_point(|&edge| edge < item.probability())];
        *score += item.probability();
        *hits += u64::from(item.truth());
        *of += 1;
    }
    let edge = |bin: usize| if bin == n_bins { 1.0 } else { bin as f64 * width };
    let bin = |(bin, (score, hits, of)): (usize, (f64, u64, u64))| Bin {
        low: edge(bin),
        high: edge(bin + 1),
        mean_score: (of > 0).then(|| score / of as f64),
        violations: Share::of_both(hits, of - hits),
    };
    sums.into_iter().enumerate().map(bin).collect()
}

/// The mean distance between score and share of violations over the bins, weighted by their
/// contents, from 0 to 1: Naeini, Cooper and Hauskrecht (2015). 10 bins are usual. `None` of
/// nothing.
pub fn expected_calibration_error(items: &[Scored], n_bins: usize) -> Option<f64> {
    mean(reliability(items, n_bins).iter().filter_map(|bin| {
        let distance = (bin.mean_score? - bin.violations.value()?).abs();
        Some((distance, bin.violations.of()))
    }))
}

/// The mean squared distance between score and truth, from 0 to 1: Brier (1950). `None` of nothing.
pub fn brier(items: &[Scored]) -> Option<f64> {
    mean(items.iter().map(|item| {
        let distance = item.probability() - f64::from(u8::from(item.truth()));
        (distance * distance, 1)
    }))
}

/// The mean of `-ln` of the probability given to the truth, in nats. Scores are held
/// [`f64::EPSILON`] away from 0 and 1, as scikit-learn's `log_loss` does, so one sure mistake costs
/// 36 and not everything. `None` of nothing.
pub fn log_loss(items: &[Scored]) -> Option<f64> {
    mean(items.iter().map(|item| {
        let score = item.score().clamp(f64::EPSILON, 1.0 - f64::EPSILON);
        (-(if item.truth() { score } else { 1.0 - score }).ln(), 1)
    }))
}

/// Of values with weights.
fn mean(values: impl Iterator<Item = (f64, u64)>) -> Option<f64> {
    let (sum, weights) = values.fold((0.0, 0), |(sum, weights), (value, weight)| {
        (sum + value * weight as f64, weights + weight)
    });
    (weights > 0).then(|| sum / weights as f64)
}
