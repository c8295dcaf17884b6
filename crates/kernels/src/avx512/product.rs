//! Sums of products: 16 lanes, two accumulators a pair, then the tail cell by cell.

use std::arch::x86_64::*;

use crate::matrix::GROUP;
use crate::scalar;
use crate::slab::{DEEP, Slab, WIDE};

/// As the scalar twin.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    // SAFETY: this table exists only where the CPU has these features.
    unsafe { dot_lanes(a, b) }
}

#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
fn dot_lanes(a: &[f32], b: &[f32]) -> f32 {
    scalar::product::dot(a, b)
}

pub(crate) fn add_scaled(out: &mut [f32], factor: f32, x: &[f32]) {
    assert_eq!(out.len(), x.len());
    // SAFETY: AVX-512 F are present; the lengths agree.
    unsafe { add_scaled_lanes(out, factor, x) }
}

/// # Safety
/// AVX-512 F; equal lengths.
#[target_feature(enable = "avx512f")]
unsafe fn add_scaled_lanes(out: &mut [f32], factor: f32, x: &[f32]) {
    let whole = x.len() / 16 * 16;
    let factors = _mm512_set1_ps(factor);
    for at in (0..whole).step_by(16) {
        // SAFETY: at + 16 <= len of both.
        unsafe {
            let sum = _mm512_fmadd_ps(
                _mm512_loadu_ps(x.as_ptr().add(at)),
                factors,
                _mm512_loadu_ps(out.as_ptr().add(at)),
            );
            _mm512_storeu_ps(out.as_mut_ptr().add(at), sum);
        }
    }
    for at in whole..x.len() {
        out[at] = x[at].mul_add(factor, out[at]);
    }
}

/// Outputs of a vector.
const LANES: usize = 16;

/// As the scalar twin.
pub(crate) fn accumulate(x: &[f32], n_r: usize, slab: &Slab, totals: &mut [f32]) {
    let n_k = x.len() / n_r;
    assert!(n_k <= DEEP && x.len() == n_k * n_r && totals.len() == n_r * WIDE);
    let kernel = match n_r {
        1 => rows_at_once::<1, 4>,
        2 => rows_at_once::<2, 4>,
        3 => rows_at_once::<3, 2>,
        4 => rows_at_once::<4, 2>,
        5 => rows_at_once::<5, 1>,
        6 => rows_at_once::<6, 1>,
        7 => rows_at_once::<7, 1>,
        8 => rows_at_once::<8, 1>,
        9 => rows_at_once::<9, 1>,
        10 => rows_at_once::<10, 1>,
        11 => rows_at_once::<11, 1>,
        12 => rows_at_once::<12, 1>,
        n_r => unreachable!("rows come at most 12 at once, not {n_r}"),
    };
    // SAFETY: AVX-512 is present; the lengths were just checked.
    unsafe { kernel(x, slab, totals) }
}

/// `G` groups at once where few rows leave room for more sums under way; the order of each sum is the same.
///
/// # Safety
/// AVX-512 F; lengths as asserted by [`accumulate`] for `R` rows.
#[target_feature(enable = "avx512f")]
unsafe fn rows_at_once<const R: usize, const G: usize>(x: &[f32], slab: &Slab, totals: &mut [f32]) {
    let n_k = x.len() / R;
    let mut k = 0;
    while k + G * GROUP <= n_k {
        // SAFETY: G whole groups follow k.
        unsafe { groups::<R, G>(x, slab, k, GROUP, totals) };
        k += G * GROUP;
    }
    while k < n_k {
        // SAFETY: so many inputs follow k.
        unsafe { groups::<R, 1>(x, slab, k, GROUP.min(n_k - k), totals) };
        k += GROUP;
    }
}

/// # Safety
/// AVX-512 F; `G` groups of `n` inputs each, `GROUP` apart, from `k` on, in `x` `[n_k, R]` and in the slab.
#[target_feature(enable = "avx512f")]
#[inline]
#[expect(clippy::needless_range_loop, reason = "constant bounds keep the sums in registers")]
unsafe fn groups<const R: usize, const G: usize>(
    x: &[f32],
    slab: &Slab,
    k: usize,
    n: usize,
    totals: &mut [f32],
) {
    let mut sums = [[[_mm512_setzero_ps(); 2]; R]; G];
    // SAFETY: group G - 1 ends inside both; the caller's promise.
    unsafe {
        let (x, cells) = (x.as_ptr().add(k * R), slab.cells.as_ptr().add(k * WIDE));
        for at in 0..n {
            for g in 0..G {
                let line = cells.add((g * GROUP + at) * WIDE);
                let w = [_mm512_load_ps(line), _mm512_load_ps(line.add(LANES))];
                for r in 0..R {
                    let value = _mm512_set1_ps(*x.add((g * GROUP + at) * R + r));
                    sums[g][r][0] = _mm512_fmadd_ps(value, w[0], sums[g][r][0]);
                    sums[g][r][1] = _mm512_fmadd_ps(value, w[1], sums[g][r][1]);
                }
            }
        }
        for g in 0..G {
            let scales = slab.scales.as_ptr().add((k / GROUP + g) * WIDE);
            for r in 0..R {
                for half in 0..2 {
                    let total = totals.as_mut_ptr().add(r * WIDE + half * LANES);
                    let scale = _mm512_load_ps(scales.add(half * LANES));
                    let sum = _mm512_fmadd_ps(sums[g][r][half], scale, _mm512_loadu_ps(total));
                    _mm512_storeu_ps(total, sum);
                }
            }
        }
    }
}
