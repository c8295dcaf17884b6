//! Sums of products: 8 lanes, two accumulators a pair, then the tail cell by cell.

use std::arch::x86_64::*;

use crate::matrix::GROUP;
use crate::slab::{DEEP, Slab, WIDE};

/// Floats a step: two vectors.
const STEP: usize = 16;

pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    // SAFETY: AVX2 and FMA are present; the lengths agree.
    unsafe { dots([a.as_ptr()], [b.as_ptr()], a.len())[0][0] }
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

/// `R` rows by `N` rows; each pair is summed alike whatever `R` and `N` are.
///
/// # Safety
/// AVX2 and FMA; `n` floats behind every pointer.
#[target_feature(enable = "avx2,fma")]
#[expect(clippy::needless_range_loop, reason = "constant bounds keep the sums in registers")]
unsafe fn dots<const R: usize, const N: usize>(
    x: [*const f32; R],
    w: [*const f32; N],
    n: usize,
) -> [[f32; N]; R] {
    let mut sums = [[[_mm256_setzero_ps(); 2]; N]; R];
    let whole = n / STEP * STEP;
    let mut at = 0;
    while at < whole {
        for half in 0..2 {
            let place = at + half * 8;
            for c in 0..N {
                // SAFETY: place + 8 <= n.
                let weights = unsafe { _mm256_loadu_ps(w[c].add(place)) };
                for r in 0..R {
                    // SAFETY: place + 8 <= n.
                    let values = unsafe { _mm256_loadu_ps(x[r].add(place)) };
                    sums[r][c][half] = _mm256_fmadd_ps(values, weights, sums[r][c][half]);
                }
            }
        }
        at += STEP;
    }
    let mut out = [[0.0; N]; R];
    for r in 0..R {
        for c in 0..N {
            let mut sum = lanes_sum(_mm256_add_ps(sums[r][c][0], sums[r][c][1]));
            for at in whole..n {
                // SAFETY: at < n.
                sum = unsafe { (*x[r].add(at)).mul_add(*w[c].add(at), sum) };
            }
            out[r][c] = sum;
        }
    }
    out
}

#[target_feature(enable = "avx2")]
fn lanes_sum(v: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
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
