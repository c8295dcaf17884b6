//! Sums of products.

use super::attend::{LANES, sum_of};
use crate::matrix::GROUP;
use crate::slab::{Slab, WIDE};

/// Sums that [`dot`] keeps side by side.
const SUMS: usize = 2 * LANES;

/// Sums side by side, then by halves, then what is left in ascending order. Inlined into the vector twins, which the
/// compiler makes of it.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<SUMS>(), b.as_chunks::<SUMS>());
    let mut sums = [0.0_f32; SUMS];
    for (a, b) in a.iter().zip(b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum = a.mul_add(*b, *sum);
        }
    }
    let mut lanes = [0.0; LANES];
    for (at, lane) in lanes.iter_mut().enumerate() {
        *lane = sums[at] + sums[at + LANES];
    }
    a_rest.iter().zip(b_rest).fold(sum_of(lanes), |sum, (a, b)| a.mul_add(*b, sum))
}

pub(crate) fn add_scaled(out: &mut [f32], factor: f32, x: &[f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = x.mul_add(factor, *out);
    }
}

/// `totals[r, n] += scale * (sum over a group of x[k, r] * w[k, n])`, group by group, inputs in ascending order;
/// `x` is `[n_k, n_r]`, `totals` `[n_r, WIDE]`.
pub(crate) fn accumulate(x: &[f32], n_r: usize, slab: &Slab, totals: &mut [f32]) {
    let groups = x.chunks(GROUP * n_r).zip(slab.cells.chunks_exact(GROUP * WIDE));
    for ((x, cells), scales) in groups.zip(slab.scales.chunks_exact(WIDE)) {
        for (r, totals) in totals.chunks_exact_mut(WIDE).enumerate() {
            let mut sums = [0.0; WIDE];
            for (x, cells) in x.chunks_exact(n_r).zip(cells.chunks_exact(WIDE)) {
                for (sum, cell) in sums.iter_mut().zip(cells) {
                    *sum = x[r].mul_add(*cell, *sum);
                }
            }
            for ((total, sum), scale) in totals.iter_mut().zip(sums).zip(scales) {
                *total = sum.mul_add(*scale, *total);
            }
        }
    }
}
