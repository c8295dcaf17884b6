//! What an engine computed since it started, told to whoever asks while it runs.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the start of an engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Forward passes.
    pub steps: u64,
    /// Tokens that were computed on a guess.
    pub guessed: u64,
    /// Those of them that came.
    pub came_true: u64,
}

/// The same while it is being counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    steps: AtomicU64,
    guessed: AtomicU64,
    came_true: AtomicU64,
}

impl Tally {
    pub(crate) fn count_step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_guess(&self, n_guessed: usize, n_true: usize) {
        self.guessed.fetch_add(n_guessed as u64, Ordering::Relaxed);
        self.came_true.fetch_add(n_true as u64, Ordering::Relaxed);
    }

    pub(crate) fn totals(&self) -> Totals {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Totals {
            steps: read(&self.steps),
            guessed: read(&self.guessed),
            came_true: read(&self.came_true),
        }
    }
}
