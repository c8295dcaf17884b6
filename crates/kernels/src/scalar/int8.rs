//! Packed MXFP4 as small integers, and their sums.

use crate::int8::{Activations, FP4_OFFSET, QUAD, Slab, Weights};
use crate::matrix::{Cells, GROUP, Matrix};
use crate::slab::{Place, WIDE, set_scales};

/// Twice the 16 values of a 4-bit float, raised by [`FP4_OFFSET`].
pub(crate) const CODES: [u8; 16] = [12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0];

/// Fills a slab from its place in an MXFP4 matrix. Eight codes are four bytes: the low halves are one quad, the high
/// ones the next.
pub(crate) fn fill(w: &Matrix<'_>, place: Place, _ahead: &[u8], slab: &mut Slab) {
    let Cells::Mxfp4 { blocks, scales } = w.cells else { unreachable!("only MXFP4 is filled in") };
    for row in 0..place.n_rows {
        for (eight, bytes) in place.blocks(w, blocks, row).chunks_exact(QUAD).enumerate() {
            for (at, byte) in bytes.iter().enumerate() {
                let line = 2 * eight * WIDE + row;
                slab.cells[line * QUAD + at] = CODES[usize::from(byte & 15)];
                slab.cells[(line + WIDE) * QUAD + at] = CODES[usize::from(byte >> 4)];
            }
        }
        set_scales(&mut slab.scales, row, place.scales(w, scales, row));
    }
}

/// `totals[r, n] += (sum over a group of x[r, k] * w[n, k]) * (scale of x * scale of w)`, group by group; the sum is
/// one of integers.
pub(crate) fn accumulate(x: Activations<'_>, w: Weights<'_>, totals: &mut [f32]) {
    let quads = GROUP / QUAD;
    for (g, scales) in w.scales.chunks_exact(WIDE).enumerate() {
        for (r, totals) in totals.chunks_exact_mut(WIDE).enumerate() {
            let mut sums = [-i32::from(w.offset) * x.sums[g * x.n + r]; WIDE];
            for quad in g * quads..(g + 1) * quads {
                let x = x.quads[quad * x.n + r].to_le_bytes();
                let lines = w.cells[quad * WIDE * QUAD..].chunks_exact(QUAD);
                for (sum, w) in sums.iter_mut().zip(lines) {
                    *sum += x
                        .iter()
                        .zip(w)
                        .map(|(&x, &w)| i32::from(x as i8) * i32::from(w))
                        .sum::<i32>();
                }
            }
            let scale = x.scales[g * x.n + r] * w.factor;
            for ((total, sum), own) in totals.iter_mut().zip(sums).zip(scales) {
                *total = (sum as f32).mul_add(scale * own, *total);
            }
        }
    }
}

const _: () = assert!(CODES[0] == FP4_OFFSET);
