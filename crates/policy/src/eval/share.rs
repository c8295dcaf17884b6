//! A share, `hits` out of `of`: what most measures of a judge are, and what intervals are made from.

use serde::Serialize;

use super::interval::Interval;

/// How sure an interval is to hold the true value: from 0.5 to below 1. With less than one half, a
/// bound would lie on the wrong side of what was measured.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Level(f64);

impl Level {
    /// 0.90.
    pub const P90: Level = Level(0.90);
    /// 0.95, what is meant where nothing is said.
    pub const P95: Level = Level(0.95);
    /// 0.99.
    pub const P99: Level = Level(0.99);

    /// `None` unless `level` is at least 0.5 and below 1.
    pub fn new(level: f64) -> Option<Level> {
        (0.5..1.0).contains(&level).then_some(Level(level))
    }

    /// The number.
    pub fn value(self) -> f64 {
        self.0
    }

    /// What is left outside, on both sides together: above 0, up to 0.5.
    pub(super) fn outside(self) -> f64 {
        1.0 - self.0
    }
}

impl Default for Level {
    fn default() -> Level {
        Level::P95
    }
}

/// `hits` out of `of`; never more than all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    hits: u64,
    of: u64,
}

impl Share {
    /// `None` if there are more hits than there is to hit.
    pub fn new(hits: u64, of: u64) -> Option<Share> {
        (hits <= of).then_some(Share { hits, of })
    }

    /// `hits` and `misses` together; counts beyond `u64` stop at its end.
    pub(super) fn of_both(hits: u64, misses: u64) -> Share {
        Share { hits, of: hits.saturating_add(misses) }
    }

    /// Counts the true ones.
    pub fn count(truths: impl IntoIterator<Item = bool>) -> Share {
        truths.into_iter().fold(Share::default(), |share, is_hit| Share {
            hits: share.hits + u64::from(is_hit),
            of: share.of + 1,
        })
    }

    /// How many hit.
    pub fn hits(self) -> u64 {
        self.hits
    }

    /// How many there are.
    pub fn of(self) -> u64 {
        self.of
    }

    /// From 0 to 1; `None` of nothing.
    pub fn value(self) -> Option<f64> {
        (self.of > 0).then(|| self.hits as f64 / self.of as f64)
    }

    /// The share with its Wilson interval.
    pub fn estimate(self, level: Level) -> Estimate {
        Estimate { hits: self.hits, of: self.of, value: self.value(), interval: self.wilson(level) }
    }
}

/// A share, as it goes into a report.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// How many hit.
    pub hits: u64,
    /// How many there are.
    pub of: u64,
    /// From 0 to 1; `None` of nothing.
    pub value: Option<f64>,
    /// Where the true share may be; 0 to 1 where nothing is known.
    pub interval: Interval,
}
