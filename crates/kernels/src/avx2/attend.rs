//! Scores, weights and mixtures of attention, 8 lanes; the order of the sums is that of the scalar twin.

use std::arch::x86_64::*;

use crate::attend::BLOCK;
use crate::scalar;
use crate::scalar::attend::{EXP, LANES, LEAST, LN_2};

/// Floats of a vector.
const VECTOR: usize = 8;
/// Vectors of a block.
const N: usize = BLOCK / VECTOR;

/// As the scalar twin.
pub(crate) fn scores(
    q: &[f32],
    d: usize,
    keys: &[f32],
    scale: f32,
    out: &mut [f32],
    stride: usize,
) {
    let n_heads = q.len() / d;
    assert!(keys.len() == d * BLOCK && out.len() >= (n_heads - 1) * stride + BLOCK);
    let mut h = 0;
    while h < n_heads {
        let (q, out) = (&q[h * d..], &mut out[h * stride..]);
        // SAFETY: AVX2 and FMA are present; the lengths were just checked, and the heads taken are there.
        unsafe {
            if n_heads - h >= 2 {
                scores_of::<2>(q, d, keys, scale, out, stride);
                h += 2;
            } else {
                scores_of::<1>(q, d, keys, scale, out, stride);
                h += 1;
            }
        }
    }
}

/// # Safety
/// AVX2 and FMA; `H` heads in `q` and `out`, `keys` is `[d, BLOCK]`.
#[target_feature(enable = "avx2,fma")]
#[expect(clippy::needless_range_loop, reason = "constant bounds keep the sums in registers")]
unsafe fn scores_of<const H: usize>(
    q: &[f32],
    d: usize,
    keys: &[f32],
    scale: f32,
    out: &mut [f32],
    stride: usize,
) {
    let mut sums = [[_mm256_setzero_ps(); N]; H];
    let scale = _mm256_set1_ps(scale);
    // SAFETY: the caller's promise.
    unsafe {
        for j in 0..d {
            for h in 0..H {
                let value = _mm256_set1_ps(*q.as_ptr().add(h * d + j));
                for n in 0..N {
                    let keys = _mm256_loadu_ps(keys.as_ptr().add(j * BLOCK + n * VECTOR));
                    sums[h][n] = _mm256_fmadd_ps(value, keys, sums[h][n]);
                }
            }
        }
        for h in 0..H {
            for n in 0..N {
                let out = out.as_mut_ptr().add(h * stride + n * VECTOR);
                _mm256_storeu_ps(out, _mm256_mul_ps(sums[h][n], scale));
            }
        }
    }
}

/// As the scalar twin, for a whole number of vectors.
pub(crate) fn weigh(scores: &mut [f32], sink: f32) {
    assert!(scores.len().is_multiple_of(LANES));
    // SAFETY: AVX2 and FMA are present; the length was just checked.
    unsafe { weigh_lanes(scores, sink) }
}

/// # Safety
/// AVX2 and FMA; a multiple of [`LANES`] scores.
#[target_feature(enable = "avx2,fma")]
unsafe fn weigh_lanes(scores: &mut [f32], sink: f32) {
    let top = scores.iter().fold(sink, |top, &score| if score > top { score } else { top });
    let mut sums = [_mm256_setzero_ps(); 2];
    for lanes in scores.as_chunks_mut::<LANES>().0 {
        for (lanes, sum) in lanes.as_chunks_mut::<VECTOR>().0.iter_mut().zip(&mut sums) {
            // SAFETY: the chunk has 8 floats; so it is below.
            let values = unsafe { _mm256_loadu_ps(lanes.as_ptr()) };
            let values = exp(_mm256_sub_ps(values, _mm256_set1_ps(top)));
            *sum = _mm256_add_ps(*sum, values);
            // SAFETY: as above.
            unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), values) };
        }
    }
    let mut lanes = [0.0; LANES];
    // SAFETY: as above.
    unsafe {
        _mm256_storeu_ps(lanes.as_mut_ptr(), sums[0]);
        _mm256_storeu_ps(lanes.as_mut_ptr().add(VECTOR), sums[1]);
    }
    let share = scalar::attend::share(lanes, sink - top);
    for score in scores {
        *score *= share;
    }
}

/// As the scalar twin.
pub(crate) fn sum_exp(x: &[f32], top: f32) -> f32 {
    // SAFETY: AVX2 and FMA are present.
    unsafe { sum_exp_lanes(x, top) }
}

/// # Safety
/// AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
unsafe fn sum_exp_lanes(x: &[f32], top: f32) -> f32 {
    let tops = _mm256_set1_ps(top);
    let mut sums = [_mm256_setzero_ps(); 2];
    let (whole, rest) = x.as_chunks::<LANES>();
    for lanes in whole {
        for (lanes, sum) in lanes.as_chunks::<VECTOR>().0.iter().zip(&mut sums) {
            // SAFETY: the chunk has 8 floats.
            let values = unsafe { _mm256_loadu_ps(lanes.as_ptr()) };
            *sum = _mm256_add_ps(*sum, exp(_mm256_sub_ps(values, tops)));
        }
    }
    let mut lanes = [0.0; LANES];
    // SAFETY: 16 floats fit.
    unsafe {
        _mm256_storeu_ps(lanes.as_mut_ptr(), sums[0]);
        _mm256_storeu_ps(lanes.as_mut_ptr().add(VECTOR), sums[1]);
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane += scalar::attend::exp(*x - top);
    }
    scalar::attend::sum_of(lanes)
}

/// As the scalar twin.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn exp(x: __m256) -> __m256 {
    let turns = _mm256_mul_ps(x, _mm256_set1_ps(std::f32::consts::LOG2_E));
    let n = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(turns);
    let r = _mm256_fnmadd_ps(n, _mm256_set1_ps(LN_2[0]), x);
    let r = _mm256_fnmadd_ps(n, _mm256_set1_ps(LN_2[1]), r);
    let mut series = _mm256_set1_ps(EXP[0]);
    for factor in &EXP[1..] {
        series = _mm256_fmadd_ps(series, r, _mm256_set1_ps(*factor));
    }
    let value = _mm256_fmadd_ps(series, _mm256_mul_ps(r, r), r);
    let value = _mm256_add_ps(value, _mm256_set1_ps(1.0));
    let bits = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    let power = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(bits));
    let is_nothing = _mm256_cmp_ps::<_CMP_LT_OQ>(x, _mm256_set1_ps(LEAST));
    _mm256_andnot_ps(is_nothing, _mm256_mul_ps(value, power))
}

/// As the scalar twin.
pub(crate) fn mix(weights: &[f32], stride: usize, values: &[f32], d: usize, out: &mut [f32]) {
    let (n_heads, n) = (out.len() / d, values.len() / d);
    assert!(out.len() == n_heads * d && values.len() == n * d);
    assert!(weights.len() >= (n_heads - 1) * stride + n);
    for (h, out) in out.chunks_exact_mut(d).enumerate() {
        // SAFETY: AVX2 and FMA are present; a head has n weights and d outputs.
        unsafe { mix_head(&weights[h * stride..][..n], values, out) };
    }
}

/// # Safety
/// AVX2 and FMA; `values` is `[weights, out]`.
#[target_feature(enable = "avx2,fma")]
unsafe fn mix_head(weights: &[f32], values: &[f32], out: &mut [f32]) {
    let d = out.len();
    let mut j = 0;
    // SAFETY: the caller's promise, and j + the lanes taken is at most d.
    unsafe {
        while j + 4 * VECTOR <= d {
            mix_lanes::<4>(weights, values, d, j, out);
            j += 4 * VECTOR;
        }
        while j + VECTOR <= d {
            mix_lanes::<1>(weights, values, d, j, out);
            j += VECTOR;
        }
    }
    for j in j..d {
        for (i, weight) in weights.iter().enumerate() {
            out[j] = weight.mul_add(values[i * d + j], out[j]);
        }
    }
}

/// # Safety
/// AVX2 and FMA; `J` vectors from `j` on in every line of `values` and in `out`.
#[target_feature(enable = "avx2,fma")]
#[expect(clippy::needless_range_loop, reason = "constant bounds keep the sums in registers")]
unsafe fn mix_lanes<const J: usize>(
    weights: &[f32],
    values: &[f32],
    d: usize,
    j: usize,
    out: &mut [f32],
) {
    let mut sums = [_mm256_setzero_ps(); J];
    // SAFETY: the caller's promise.
    unsafe {
        let out = out.as_mut_ptr().add(j);
        for n in 0..J {
            sums[n] = _mm256_loadu_ps(out.add(n * VECTOR));
        }
        for (i, weight) in weights.iter().enumerate() {
            let weight = _mm256_set1_ps(*weight);
            for n in 0..J {
                let values = _mm256_loadu_ps(values.as_ptr().add(i * d + j + n * VECTOR));
                sums[n] = _mm256_fmadd_ps(weight, values, sums[n]);
            }
        }
        for n in 0..J {
            _mm256_storeu_ps(out.add(n * VECTOR), sums[n]);
        }
    }
}
