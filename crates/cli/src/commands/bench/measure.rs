//! What a run measures, of how many, and in which unit.

use std::fmt;

use super::limits::Bound;

/// One figure beside its limit, both in the unit of what was measured.
#[derive(Clone)]
pub(super) struct Measure {
    pub(super) what: What,
    pub(super) value: f64,
    pub(super) limit: f64,
    /// What the limit is made of. Of a rate it is the most, of a time the least.
    pub(super) bound: Bound,
    /// Bytes of memory held meanwhile at most, where the system tells.
    pub(super) peak: Option<u64>,
}

/// What was measured, of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A prompt of so many tokens.
    Prefill(usize),
    /// Reading a prefix from disk.
    Load,
    FirstToken,
    /// From the opening of the model to the first token behind a prefix that was on disk.
    Start,
    /// So many streams.
    Decode(usize),
    /// So many items.
    Workload(usize),
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    TokensPerSecond,
    ItemsPerMinute,
    Seconds,
}

impl Measure {
    /// The share of the limit.
    pub(super) fn reached(&self) -> f64 {
        match self.what.unit() {
            Unit::Seconds => self.limit / self.value,
            Unit::TokensPerSecond | Unit::ItemsPerMinute => self.value / self.limit,
        }
    }
}

impl What {
    pub(super) fn unit(self) -> Unit {
        match self {
            What::Prefill(_) | What::Decode(_) => Unit::TokensPerSecond,
            What::Load | What::FirstToken | What::Start => Unit::Seconds,
            What::Workload(_) => Unit::ItemsPerMinute,
        }
    }

    /// Its word for machines.
    pub(super) fn kind(self) -> &'static str {
        match self {
            What::Prefill(_) => "prefill",
            What::Load => "load",
            What::FirstToken => "first_token",
            What::Start => "start",
            What::Decode(_) => "decode",
            What::Workload(_) => "workload",
        }
    }

    pub(super) fn count(self) -> Option<usize> {
        match self {
            What::Prefill(n) | What::Decode(n) | What::Workload(n) => Some(n),
            What::Load | What::FirstToken | What::Start => None,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Prefill(n) => write!(f, "prefill of {n} tokens"),
            What::Load => f.write_str("known prefix from disk"),
            What::FirstToken => f.write_str("first token behind it"),
            What::Start => f.write_str("start to first token"),
            What::Decode(n) => write!(f, "decode, {n} streams"),
            What::Workload(n) => write!(f, "{n} items"),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unit::TokensPerSecond => "tok/s",
            Unit::ItemsPerMinute => "items/min",
            Unit::Seconds => "s",
        })
    }
}
