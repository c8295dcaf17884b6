//! The order of verdicts: as they come, or as the items were read, without running far ahead of a slow one.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex};

use policy::Verdict;

/// In which order verdicts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    AsRead,
    AsTheyCome,
}

impl Order {
    pub(super) fn waiting(self) -> Waiting {
        Waiting { order: self, next: 0, early: BTreeMap::new() }
    }
}

/// Verdicts that came before an earlier item's.
pub(super) struct Waiting {
    order: Order,
    next: usize,
    early: BTreeMap<usize, Verdict>,
}

impl Waiting {
    /// Which verdicts can be written now that this one is there.
    pub(super) fn next_in_order(
        &mut self,
        number: usize,
        verdict: Verdict,
    ) -> Vec<(usize, Verdict)> {
        if self.order == Order::AsTheyCome {
            return vec![(number, verdict)];
        }
        self.early.insert(number, verdict);
        let mut ready = Vec::new();
        while let Some(verdict) = self.early.remove(&self.next) {
            ready.push((self.next, verdict));
            self.next += 1;
        }
        ready
    }
}

/// Holds reading back while too many later verdicts wait for a slow one.
pub(super) struct Window {
    order: Order,
    /// Most numbers between the first that is not written and the last that was begun.
    len: usize,
    /// The first number that is not written; `None` when no more may begin.
    first: Mutex<Option<usize>>,
    moved: Condvar,
}

impl Window {
    pub(super) fn new(order: Order, n_in_flight: usize) -> Window {
        Window { order, len: n_in_flight * 16, first: Mutex::new(Some(0)), moved: Condvar::new() }
    }

    /// Waits until `number` may begin; `false` when nothing may begin any more.
    pub(super) fn wait_for(&self, number: usize) -> bool {
        let first = self.first.lock().expect("no holder panics");
        let is_far = |first: &mut Option<usize>| {
            self.order == Order::AsRead && first.is_some_and(|first| number >= first + self.len)
        };
        self.moved.wait_while(first, is_far).expect("no holder panics").is_some()
    }

    pub(super) fn written(&self, number: usize) {
        if let Some(first) = self.first.lock().expect("no holder panics").as_mut() {
            *first = number + 1;
        }
        self.moved.notify_all();
    }

    /// Lets nothing begin any more.
    pub(super) fn close(&self) {
        *self.first.lock().expect("no holder panics") = None;
        self.moved.notify_all();
    }
}
