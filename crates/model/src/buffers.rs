//! Memory for the large activations of a pass, used again by the next layer and the next pass: what the system gives
//! anew it clears page by page, which took a tenth of a prefill's time.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Pieces of memory that nobody uses now.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    free: Mutex<Vec<Vec<f32>>>,
}

/// Floats that go back when they are dropped.
#[derive(Debug)]
pub(crate) struct Buffer<'a> {
    values: Vec<f32>,
    home: &'a Buffers,
}

impl Buffers {
    /// `n` zeros.
    pub(crate) fn zeros(&self, n: usize) -> Buffer<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        // Ascending by size. Where none is large enough the largest gives way, so that there are never more than were
        // in use at once.
        let fitting = free.partition_point(|values| values.capacity() < n);
        let mut values = match free.len() {
            0 => Vec::new(),
            n_free => free.remove(fitting.min(n_free - 1)),
        };
        drop(free);
        if values.capacity() < n {
            // What is too small goes before the larger one comes.
            values = Vec::new();
        }
        values.clear();
        values.resize(n, 0.0);
        Buffer { values, home: self }
    }
}

impl Deref for Buffer<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values
    }
}

impl DerefMut for Buffer<'_> {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        let mut free = self.home.free.lock().unwrap_or_else(PoisonError::into_inner);
        let at = free.partition_point(|other| other.capacity() < values.capacity());
        free.insert(at, values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_and_never_more_than_was_in_use_at_once() {
        let buffers = Buffers::default();
        for n in [10, 1000, 30, 5000, 5] {
            let (mut a, b) = (buffers.zeros(n), buffers.zeros(2 * n));
            assert!(a.iter().chain(b.iter()).all(|value| *value == 0.0), "{n}");
            assert_eq!((a.len(), b.len()), (n, 2 * n));
            a.fill(7.0);
        }
        let free = buffers.free.into_inner().expect("no thread panicked");
        let sizes: Vec<usize> = free.iter().map(Vec::capacity).collect();
        assert_eq!(sizes.len(), 2);
        assert!(sizes[0] >= 5000 && sizes[1] >= 10_000, "{sizes:?}");
    }
}
