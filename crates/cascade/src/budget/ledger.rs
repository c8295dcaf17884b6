//! Amounts by time, in slots: what was and will be spent, what the host spent.

use std::collections::VecDeque;

/// Amounts in slots of equal length, from the oldest still kept to the newest written.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    first: u64,
    amounts: VecDeque<f64>,
}

impl Ledger {
    /// An empty ledger that keeps nothing before `first`.
    pub(super) fn new(first: u64) -> Ledger {
        Ledger { first, amounts: VecDeque::new() }
    }

    /// Adds an amount, which may be negative; lost where the slot is forgotten already.
    pub(super) fn add(&mut self, slot: u64, amount: f64) {
        let Some(at) = slot.checked_sub(self.first) else { return };
        let at = at as usize;
        if at >= self.amounts.len() {
            self.amounts.resize(at + 1, 0.0);
        }
        self.amounts[at] += amount;
    }

    /// Drops all slots before this one.
    pub(super) fn forget_before(&mut self, slot: u64) {
        let n_old = (slot.saturating_sub(self.first) as usize).min(self.amounts.len());
        self.amounts.drain(..n_old);
        self.first = self.first.max(slot);
    }

    /// What is in one slot.
    pub(super) fn at(&self, slot: u64) -> f64 {
        let at = slot.checked_sub(self.first).map(|at| at as usize);
        at.and_then(|at| self.amounts.get(at)).copied().unwrap_or(0.0)
    }

    /// What is in the slots from `from` to `to`, both included.
    pub(super) fn sum(&self, from: u64, to: u64) -> f64 {
        (from.max(self.first)..=to).map(|slot| self.at(slot)).sum()
    }
}
