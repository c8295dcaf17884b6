//! Sums of products: 8 lanes, two accumulators a pair, then the tail cell by cell.

use std::arch::x86_64::*;

use crate::matrix::GROUP;
use crate::scalar;
use crate::slab::{DEEP, Slab, WIDE};

/// As the scalar twin.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    // SAFETY: this table exists only where the CPU has these features.
    unsafe { dot_lanes(a, b) }
}

#[target_feature(enable = "avx2,fma")]
fn dot_lanes(a: &[f32], b: &[f32]) -> f32 {
    scalar::product::dot(a, b)
}

pub(crate) fn add_scaled(out: &mut [f32], factor: f32, x: &[f32]) {
    assert_eq!(out.len(), x.len());
    // SAFETY: AVX2 and FMA are present; the lengths agree.
    unsafe { add_scaled_lanes(out, factor, x) }
}

/// # Safety
/// AVX2 and FMA; equal lengths.
#[target_feature(enable = "avx2,fma")]
unsafe fn add_scaled_lanes(out: &mut [f32], factor: f32, x: &[f32]) {
    let whole = x.len() / 8 * 8;
    let factors = _mm256_set1_ps(factor);
    for at in (0..whole).step_by(8) {
        // SAFETY: at + 8 <= len of both.
        unsafe {
            let sum = _mm256_fmadd_ps(
                _mm256_loadu_ps(x.as_ptr().add(at)),
                factors,
                _mm256_loadu_ps(out.as_ptr().add(at)),
            );
            _mm256_storeu_ps(out.as_mut_ptr().add(at), sum);
        }
    }
    for at in whole..x.len() {
        out[at] = x[at].mul_add(factor, out[at]);
    }
}

/// Floats of a vector.
const VECTOR: usize = 8;

/// As the scalar twin.
pub(crate) fn accumulate(x: &[f32], n_r: usize, slab: &Slab, totals: &mut [f32]) {
    let n_k = x.len() / n_r;
    assert!(n_k <= DEEP && x.len() == n_k * n_r && totals.len() == n_r * WIDE);
    let mut r = 0;
    while r < n_r {
        let totals = &mut totals[r * WIDE..];
        // SAFETY: AVX2 and FMA are present; the lengths were just checked, and r + the rows taken is at most n_r.
        unsafe {
            if n_r - r >= 3 {
                rows_at_once::<3>(&x[r..], n_r, n_k, slab, totals);
                r += 3;
            } else {
                rows_at_once::<1>(&x[r..], n_r, n_k, slab, totals);
                r += 1;
            }
        }
    }
}

/// # Safety
/// AVX2 and FMA; `R` rows, `stride` floats between a row's inputs; `totals` has `R` lines.
#[target_feature(enable = "avx2,fma")]
#[expect(clippy::needless_range_loop, reason = "constant bounds keep the sums in registers")]
unsafe fn rows_at_once<const R: usize>(
    x: &[f32],
    stride: usize,
    n_k: usize,
    slab: &Slab,
    totals: &mut [f32],
) {
    for start in (0..n_k).step_by(GROUP) {
        let mut sums = [[_mm256_setzero_ps(); WIDE / VECTOR]; R];
        // SAFETY: start + GROUP inputs at most are in the slab; the caller's promise.
        unsafe {
            for k in start..(start + GROUP).min(n_k) {
                let line = slab.cells.as_ptr().add(k * WIDE);
                for r in 0..R {
                    let value = _mm256_set1_ps(*x.as_ptr().add(k * stride + r));
                    for n in 0..WIDE / VECTOR {
                        let w = _mm256_load_ps(line.add(n * VECTOR));
                        sums[r][n] = _mm256_fmadd_ps(value, w, sums[r][n]);
                    }
                }
            }
            for r in 0..R {
                for n in 0..WIDE / VECTOR {
                    let total = totals.as_mut_ptr().add(r * WIDE + n * VECTOR);
                    let scale =
                        _mm256_load_ps(slab.scales.as_ptr().add(start / GROUP * WIDE + n * VECTOR));
                    _mm256_storeu_ps(
                        total,
                        _mm256_fmadd_ps(sums[r][n], scale, _mm256_loadu_ps(total)),
                    );
                }
            }
        }
    }
}
