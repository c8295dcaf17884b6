//! Intervals for a share, and for the difference of two.
//!
//! Wilson's is the one to show: close to its level even for small sets. Clopper and Pearson's never
//! falls below its level, which is what a promise needs. A statistic that is no share (F1, a
//! calibration error) takes the bootstrap of `bootstrap.rs`.

use serde::Serialize;

use super::share::{Level, Share};
use super::special::{binomial_tail_inverse, normal_quantile};

/// From `low` to `high`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// All that a share can be.
    pub const UNKNOWN: Interval = Interval { low: 0.0, high: 1.0 };

    /// From end to end.
    pub fn width(self) -> f64 {
        self.high - self.low
    }

    /// Whether `value` lies in it.
    pub fn contains(self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

impl Share {
    /// The score interval: Wilson (1927); Brown, Cai and DasGupta (2001), equation 4. From 0 to 1
    /// of nothing.
    pub fn wilson(self, level: Level) -> Interval {
        let Some(share) = self.value() else {
            return Interval::UNKNOWN;
        };
        let n = self.of() as f64;
        let z = two_sided_quantile(level);
        let centre = share + z * z / (2.0 * n);
        let half = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + z * z / n;
        // Rounding must not push the ends past the share itself, which matters at 0 and 1.
        Interval {
            low: ((centre - half) / scale).max(0.0).min(share),
            high: ((centre + half) / scale).min(1.0).max(share),
        }
    }

    /// The exact interval: Clopper and Pearson (1934); both ends are one-sided bounds at half of
    /// what `level` leaves out. From 0 to 1 of nothing. The work grows at most as the square root
    /// of the count.
    pub fn clopper_pearson(self, level: Level) -> Interval {
        let outside = level.outside() / 2.0;
        Interval { low: self.low_end(outside), high: 1.0 - self.misses().low_end(outside) }
    }

    /// The exact one-sided bound from below: the true share is at least this, at `level`. 0 of
    /// nothing.
    pub fn lower_bound(self, level: Level) -> f64 {
        self.low_end(level.outside())
    }

    /// The exact one-sided bound from above: the true share is at most this, at `level`. 1 of
    /// nothing.
    pub fn upper_bound(self, level: Level) -> f64 {
        1.0 - self.misses().low_end(level.outside())
    }

    /// The share at which as many hits or more would come with probability `outside`.
    fn low_end(self, outside: f64) -> f64 {
        if self.hits() == 0 {
            return 0.0;
        }
        let (hits, of) = (self.hits() as f64, self.of() as f64);
        let z = -normal_quantile(outside);
        let share = hits / of;
        let guess = share - z * (share * (1.0 - share) / of).sqrt();
        binomial_tail_inverse(hits, of, outside, guess)
    }

    fn misses(self) -> Share {
        Share::of_both(self.of() - self.hits(), self.hits())
    }
}

/// `first - second` of two independent sets, from -1 to 1: Newcombe (1998), "Interval estimation
/// for the difference between independent proportions", method 10. `None` where one is of nothing.
///
/// Two runs over the same cases are not independent: see [`super::mcnemar`] and
/// [`super::Bootstrap`].
pub fn newcombe(first: Share, second: Share, level: Level) -> Option<Interval> {
    let (p, q) = (first.value()?, second.value()?);
    let (of_first, of_second) = (first.wilson(level), second.wilson(level));
    let below = (p - of_first.low).hypot(of_second.high - q);
    let above = (of_first.high - p).hypot(q - of_second.low);
    Some(Interval { low: (p - q - below).max(-1.0), high: (p - q + above).min(1.0) })
}

/// How many standard deviations to either side hold `level` of a normal distribution.
fn two_sided_quantile(level: Level) -> f64 {
    -normal_quantile(level.outside() / 2.0)
}
