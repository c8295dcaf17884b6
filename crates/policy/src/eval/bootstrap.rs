//! The percentile bootstrap: an interval for any statistic over items.

use serde::Serialize;

use super::interval::Interval;
use super::random::SplitMix;
use super::share::Level;

/// How to resample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap {
    /// Sets drawn; 2000 are enough for two digits.
    pub n_resamples: usize,
    /// Draws the same sets again.
    pub seed: u64,
    /// Of the interval.
    pub level: Level,
}

impl Default for Bootstrap {
    fn default() -> Bootstrap {
        Bootstrap { n_resamples: 2000, seed: 0, level: Level::P95 }
    }
}

/// What resampling gave.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Resampled {
    /// Over the sets in which the statistic is defined.
    pub interval: Interval,
    /// Sets in which it is not; many of them make the interval worth little.
    pub n_undefined: usize,
}

impl Bootstrap {
    /// The interval between percentiles of `statistic` over sets drawn from `items` with
    /// replacement: Efron and Tibshirani (1993), chapter 13. `None` where no set defines it.
    ///
    /// What must be drawn together (both verdicts on one case, all cases of one author) has to be
    /// one item. A statistic that is not finite counts as undefined.
    pub fn interval<T>(
        &self,
        items: &[T],
        statistic: impl Fn(&[&T]) -> Option<f64>,
    ) -> Option<Resampled> {
        if items.is_empty() {
            return None;
        }
        let mut random = SplitMix::new(self.seed);
        let mut set: Vec<&T> = items.iter().collect();
        let mut values = Vec::with_capacity(self.n_resamples);
        for _ in 0..self.n_resamples {
            for slot in &mut set {
                *slot = &items[random.below(items.len())];
            }
            values.extend(statistic(&set).filter(|value| value.is_finite()));
        }
        values.sort_by(f64::total_cmp);
        let outside = self.level.outside() / 2.0;
        Some(Resampled {
            interval: Interval {
                low: percentile(&values, outside)?,
                high: percentile(&values, 1.0 - outside)?,
            },
            n_undefined: self.n_resamples - values.len(),
        })
    }
}

/// The `share` quantile of sorted values, linear between neighbours: Hyndman and Fan (1996), type 7.
fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let position = share * sorted.len().checked_sub(1)? as f64;
    let below = *sorted.get(position.floor() as usize)?;
    let above = *sorted.get(position.ceil() as usize)?;
    let part = position.fract();
    // Two products, so that ends of opposite sign cannot overflow.
    Some((below * (1.0 - part) + above * part).clamp(below, above))
}
