//! Two runs over the same cases: what changed, and whether it could be chance.

use super::special::{binomial, binomial_tail};

/// One case in both runs. `T` is what is compared: whether it violates, or the label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paired<T> {
    /// What people agreed on.
    pub truth: T,
    /// What the old run said; `None` where undetermined.
    pub old: Option<T>,
    /// What the new run said; `None` where undetermined.
    pub new: Option<T>,
}

/// The cases that changed, as places in the list, in its order.
///
/// Only the truth is right: undetermined is as little right as a wrong answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flips {
    /// Right now and not before.
    pub fixed: Vec<usize>,
    /// Right before and not now.
    pub broken: Vec<usize>,
    /// Right neither time, but different.
    pub other: Vec<usize>,
}

impl Flips {
    /// [`mcnemar`] of what was fixed and broken.
    pub fn p_value(&self) -> f64 {
        mcnemar(self.fixed.len() as u64, self.broken.len() as u64)
    }
}

/// What changed between the runs.
pub fn flips<T: PartialEq>(cases: &[Paired<T>]) -> Flips {
    let mut flips = Flips::default();
    for (place, case) in cases.iter().enumerate() {
        let is_right = |said: &Option<T>| said.as_ref() == Some(&case.truth);
        match (is_right(&case.old), is_right(&case.new)) {
            (false, true) => flips.fixed.push(place),
            (true, false) => flips.broken.push(place),
            (false, false) if case.old != case.new => flips.other.push(place),
            _ => {}
        }
    }
    flips
}

/// How likely a split at least as uneven as this is if either way were as likely, from 0 to 1:
/// McNemar's test in its exact two-sided form. 1 where nothing changed.
pub fn mcnemar(fixed: u64, broken: u64) -> f64 {
    let (fewer, n) = (fixed.min(broken) as f64, fixed as f64 + broken as f64);
    // As many or fewer of one kind are as many or more of the other.
    let tail = if n > 0.0 { binomial_tail(n - fewer, n, 0.5) } else { 1.0 };
    (2.0 * tail).min(1.0)
}

/// The same with half the weight on splits exactly as uneven, which is less timid for few changes:
/// Fagerland, Lydersen and Laake (2013). 1 where nothing changed.
pub fn mcnemar_mid_p(fixed: u64, broken: u64) -> f64 {
    let (fewer, n) = (fixed.min(broken) as f64, fixed as f64 + broken as f64);
    if n == 0.0 {
        return 1.0;
    }
    let equal = binomial(fewer, n, 0.5);
    // An even split has no twin on the other side.
    let both = if fixed == broken { equal / 2.0 } else { equal };
    (mcnemar(fixed, broken) - both).clamp(0.0, 1.0)
}
