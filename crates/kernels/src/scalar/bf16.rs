//! Weights and activations as pairs of bfloat16, and their sums.

use crate::bf16::{Activations, Line, PAIR, Slab, nearest, widened};
use crate::matrix::{Cells, GROUP, Matrix};
use crate::slab::{Place, WIDE};

/// Rounds a row of activations into lines `stride` apart; behind the last one zeros.
pub(crate) fn round(row: &[f32], lines: &mut [Line], stride: usize) {
    for (values, line) in row.chunks(GROUP).zip(lines.iter_mut().step_by(stride)) {
        *line = Line([0; GROUP]);
        for (value, cell) in values.iter().zip(&mut line.0) {
            *cell = nearest(*value);
        }
    }
}

/// Fills pairs, `[DEEP / 2, WIDE, 2]`, from their place in a matrix of bfloat16.
pub(crate) fn fill(w: &Matrix<'_>, place: Place, _ahead: &[u8], cells: &mut [u16]) {
    let Cells::Bf16(bytes) = w.cells else { unreachable!("other formats are filled in otherwise") };
    cells[..place.n_k.next_multiple_of(GROUP) * WIDE].fill(0);
    for row in 0..place.n_rows {
        for (k, cell) in place.cells(w, bytes, row, 2).as_chunks::<2>().0.iter().enumerate() {
            cells[(k / PAIR * WIDE + row) * PAIR + k % PAIR] = u16::from_le_bytes(*cell);
        }
    }
}

/// Nothing has to be switched on.
pub(crate) fn around(task: &mut dyn FnMut()) {
    task();
}

/// `totals[r, n] += sum over a group of x[r, k] * w[n, k]`, group by group; pairs in ascending order, of each the
/// second first.
#[inline(always)]
pub(crate) fn accumulate(x: Activations<'_>, slab: &Slab, totals: &mut [f32]) {
    let groups = slab.cells.chunks_exact(GROUP * WIDE).take(x.n_groups);
    for (g, cells) in groups.enumerate() {
        for (r, totals) in totals.chunks_exact_mut(WIDE).take(x.n).enumerate() {
            let mut sums = [0.0; WIDE];
            let pairs = x.lines[g * x.n + r].0.as_chunks::<PAIR>().0;
            for ([even, odd], cells) in pairs.iter().zip(cells.chunks_exact(WIDE * PAIR)) {
                let (even, odd) = (widened(*even), widened(*odd));
                for (sum, w) in sums.iter_mut().zip(cells.as_chunks::<PAIR>().0) {
                    *sum += odd * widened(w[1]);
                    *sum += even * widened(w[0]);
                }
            }
            for (total, sum) in totals.iter_mut().zip(sums) {
                *total += sum;
            }
        }
    }
}
