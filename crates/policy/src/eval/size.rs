//! When a set is too small to say anything, and why.

use std::fmt;

use serde::Serialize;

use super::confusion::{Confusion, Rate};
use super::share::Level;

/// What a set needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SizeLimits {
    /// Fewest contents on either side that have a verdict.
    pub min_per_side: u64,
    /// Widest Wilson interval of a measure, of the 1 that a share can span.
    pub max_width: f64,
    /// Of those intervals.
    pub level: Level,
}

impl Default for SizeLimits {
    fn default() -> SizeLimits {
        SizeLimits { min_per_side: 30, max_width: 0.2, level: Level::P95 }
    }
}

/// One reason why a set is too small.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum TooSmall {
    /// Not enough violations with a verdict.
    FewViolations {
        /// How many there are.
        found: u64,
        /// How many it takes.
        needed: u64,
    },
    /// Not enough clear contents with a verdict.
    FewClear {
        /// How many there are.
        found: u64,
        /// How many it takes.
        needed: u64,
    },
    /// The true value could be almost anywhere.
    WideInterval {
        /// Of which measure.
        rate: Rate,
        /// Of the interval, from 0 to 1.
        width: f64,
        /// The widest allowed.
        limit: f64,
    },
}

impl fmt::Display for TooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TooSmall::FewViolations { found, needed } => {
                write!(f, "{found} violations with a verdict; it takes {needed}")
            }
            TooSmall::FewClear { found, needed } => {
                write!(f, "{found} clear contents with a verdict; it takes {needed}")
            }
            TooSmall::WideInterval { rate, width, limit } => {
                write!(
                    f,
                    "the interval of {rate} spans {width:.2}; at most {limit:.2} says something"
                )
            }
        }
    }
}

/// Why `confusion` is too small to judge a judge by; empty where it is not. Precision, recall and
/// specificity are looked at.
pub fn too_small(confusion: &Confusion, limits: &SizeLimits) -> Vec<TooSmall> {
    let needed = limits.min_per_side;
    let (violations, clear) = (confusion.positives(), confusion.negatives());
    let mut reasons = Vec::new();
    if violations < needed {
        reasons.push(TooSmall::FewViolations { found: violations, needed });
    }
    if clear < needed {
        reasons.push(TooSmall::FewClear { found: clear, needed });
    }
    for rate in [Rate::Precision, Rate::Recall, Rate::Specificity] {
        let width = confusion.share(rate).wilson(limits.level).width();
        if width > limits.max_width {
            reasons.push(TooSmall::WideInterval { rate, width, limit: limits.max_width });
        }
    }
    reasons
}
