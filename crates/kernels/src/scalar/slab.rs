//! Slabs turned over.

use crate::slab::{DEEP, WIDE};

/// Rows `[WIDE, DEEP]` as cells `[n_k, WIDE]`.
pub(crate) fn turn(rows: &[f32], n_k: usize, cells: &mut [f32]) {
    for (row, values) in rows.chunks_exact(DEEP).enumerate() {
        for (k, value) in values[..n_k].iter().enumerate() {
            cells[k * WIDE + row] = *value;
        }
    }
}
