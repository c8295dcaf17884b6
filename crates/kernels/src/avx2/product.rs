//! Sums of products: 8 lanes, two accumulators a pair, then the tail cell by cell.

use std::arch::x86_64::*;

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

pub(crate) fn tile(x: &[f32], w: &[f32], n_in: usize, out: &mut [f32]) {
    let (n_rows, n_w) = (x.len() / n_in, w.len() / n_in);
    assert_eq!(out.len(), n_rows * n_w);
    let row = |at: usize| x[at * n_in..][..n_in].as_ptr();
    let weight = |at: usize| w[at * n_in..][..n_in].as_ptr();
    let mut r = 0;
    while r < n_rows {
        let n = if n_rows - r >= 3 { 3 } else { 1 };
        let mut c = 0;
        while c < n_w {
            // SAFETY: AVX2 and FMA are present; every pointer has n_in floats behind it.
            unsafe {
                if n == 3 && n_w - c >= 2 {
                    let sums =
                        dots([row(r), row(r + 1), row(r + 2)], [weight(c), weight(c + 1)], n_in);
                    put(out, n_w, r, c, sums);
                    c += 2;
                } else if n == 3 {
                    put(out, n_w, r, c, dots([row(r), row(r + 1), row(r + 2)], [weight(c)], n_in));
                    c += 1;
                } else if n_w - c >= 4 {
                    let four = [weight(c), weight(c + 1), weight(c + 2), weight(c + 3)];
                    put(out, n_w, r, c, dots([row(r)], four, n_in));
                    c += 4;
                } else {
                    put(out, n_w, r, c, dots([row(r)], [weight(c)], n_in));
                    c += 1;
                }
            }
        }
        r += n;
    }
}

fn put<const R: usize, const N: usize>(
    out: &mut [f32],
    n_w: usize,
    r: usize,
    c: usize,
    sums: [[f32; N]; R],
) {
    for (at, sums) in sums.iter().enumerate() {
        out[(r + at) * n_w + c..][..N].copy_from_slice(sums);
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
