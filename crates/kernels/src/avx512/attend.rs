//! Scores, weights and mixtures of attention, 16 lanes; the order of the sums is that of the scalar twin.

use std::arch::x86_64::*;

use crate::attend::BLOCK;
use crate::scalar;
use crate::scalar::attend::{EXP, LANES, LEAST, LN_2};

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
        // SAFETY: AVX-512 is present; the lengths were just checked, and the heads taken are there.
        unsafe {
            if n_heads - h >= 8 {
                scores_of::<8>(q, d, keys, scale, out, stride);
                h += 8;
            } else {
                scores_of::<1>(q, d, keys, scale, out, stride);
                h += 1;
            }
        }
    }
}

/// # Safety
/// AVX-512 F; `H` heads in `q` and `out`, `keys` is `[d, BLOCK]`.
#[target_feature(enable = "avx512f")]
#[expect(clippy::needless_range_loop, reason = "constant bounds keep the sums in registers")]
unsafe fn scores_of<const H: usize>(
    q: &[f32],
    d: usize,
    keys: &[f32],
    scale: f32,
    out: &mut [f32],
    stride: usize,
) {
    let mut sums = [[_mm512_setzero_ps(); 2]; H];
    let scale = _mm512_set1_ps(scale);
    // SAFETY: the caller's promise.
    unsafe {
        for j in 0..d {
            let line = keys.as_ptr().add(j * BLOCK);
            let keys = [_mm512_loadu_ps(line), _mm512_loadu_ps(line.add(LANES))];
            for h in 0..H {
                let value = _mm512_set1_ps(*q.as_ptr().add(h * d + j));
                sums[h][0] = _mm512_fmadd_ps(value, keys[0], sums[h][0]);
                sums[h][1] = _mm512_fmadd_ps(value, keys[1], sums[h][1]);
            }
        }
        for h in 0..H {
            for half in 0..2 {
                let out = out.as_mut_ptr().add(h * stride + half * LANES);
                _mm512_storeu_ps(out, _mm512_mul_ps(sums[h][half], scale));
            }
        }
    }
}

/// As the scalar twin, for a whole number of vectors.
pub(crate) fn weigh(scores: &mut [f32], sink: f32) {
    assert!(scores.len().is_multiple_of(LANES));
    // SAFETY: AVX-512 is present; the length was just checked.
    unsafe { weigh_lanes(scores, sink) }
}

/// # Safety
/// AVX-512 F; a whole number of vectors.
#[target_feature(enable = "avx512f")]
unsafe fn weigh_lanes(scores: &mut [f32], sink: f32) {
    let mut tops = _mm512_set1_ps(sink);
    for lanes in scores.as_chunks::<LANES>().0 {
        // SAFETY: the chunk has 16 floats; so it is below. Of a pair that cannot be compared the second is taken.
        tops = unsafe { _mm512_max_ps(_mm512_loadu_ps(lanes.as_ptr()), tops) };
    }
    let top = _mm512_reduce_max_ps(tops);
    let mut sums = _mm512_setzero_ps();
    for lanes in scores.as_chunks_mut::<LANES>().0 {
        // SAFETY: as above.
        let values = unsafe { _mm512_loadu_ps(lanes.as_ptr()) };
        let values = exp(_mm512_sub_ps(values, _mm512_set1_ps(top)));
        sums = _mm512_add_ps(sums, values);
        // SAFETY: as above.
        unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), values) };
    }
    let mut lanes = [0.0; LANES];
    // SAFETY: as above.
    unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), sums) };
    let share = _mm512_set1_ps(scalar::attend::share(lanes, sink - top));
    for lanes in scores.as_chunks_mut::<LANES>().0 {
        // SAFETY: as above.
        unsafe {
            let values = _mm512_mul_ps(_mm512_loadu_ps(lanes.as_ptr()), share);
            _mm512_storeu_ps(lanes.as_mut_ptr(), values);
        }
    }
}

/// As the scalar twin.
pub(crate) fn sum_exp(x: &[f32], top: f32) -> f32 {
    // SAFETY: AVX-512 is present.
    unsafe { sum_exp_lanes(x, top) }
}

/// # Safety
/// AVX-512 F.
#[target_feature(enable = "avx512f")]
unsafe fn sum_exp_lanes(x: &[f32], top: f32) -> f32 {
    let tops = _mm512_set1_ps(top);
    let mut sums = _mm512_setzero_ps();
    let (whole, rest) = x.as_chunks::<LANES>();
    for lanes in whole {
        // SAFETY: the chunk has 16 floats; so it is below.
        let values = unsafe { _mm512_loadu_ps(lanes.as_ptr()) };
        sums = _mm512_add_ps(sums, exp(_mm512_sub_ps(values, tops)));
    }
    let mut lanes = [0.0; LANES];
    // SAFETY: as above.
    unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), sums) };
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane += scalar::attend::exp(*x - top);
    }
    scalar::attend::sum_of(lanes)
}

/// As the scalar twin.
#[target_feature(enable = "avx512f")]
#[inline]
fn exp(x: __m512) -> __m512 {
    let turns = _mm512_mul_ps(x, _mm512_set1_ps(std::f32::consts::LOG2_E));
    let n = _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(turns);
    let r = _mm512_fnmadd_ps(n, _mm512_set1_ps(LN_2[0]), x);
    let r = _mm512_fnmadd_ps(n, _mm512_set1_ps(LN_2[1]), r);
    let mut series = _mm512_set1_ps(EXP[0]);
    for factor in &EXP[1..] {
        series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(*factor));
    }
    let value = _mm512_fmadd_ps(series, _mm512_mul_ps(r, r), r);
    let value = _mm512_add_ps(value, _mm512_set1_ps(1.0));
    let bits = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
    let power = _mm512_castsi512_ps(_mm512_slli_epi32::<23>(bits));
    let is_nothing = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(x, _mm512_set1_ps(LEAST));
    _mm512_maskz_mul_ps(!is_nothing, value, power)
}

/// As the scalar twin.
pub(crate) fn mix(weights: &[f32], stride: usize, values: &[f32], d: usize, out: &mut [f32]) {
    let (n_heads, n) = (out.len() / d, values.len() / d);
    assert!(out.len() == n_heads * d && values.len() == n * d);
    assert!(weights.len() >= (n_heads - 1) * stride + n);
    let whole = d / LANES * LANES;
    let mut h = 0;
    while h < n_heads {
        let (weights, out) = (&weights[h * stride..], &mut out[h * d..]);
        let n_taken = if n_heads - h >= 4 { 4 } else { 1 };
        let mut j = 0;
        while j < whole {
            // SAFETY: AVX-512 is present; the lengths were just checked, and the heads and lanes taken are there.
            unsafe {
                if n_taken == 4 && whole - j >= 4 * LANES {
                    mix_of::<4, 4>(weights, stride, &values[j..], d, n, &mut out[j..]);
                    j += 4 * LANES;
                } else if n_taken == 4 {
                    mix_of::<4, 1>(weights, stride, &values[j..], d, n, &mut out[j..]);
                    j += LANES;
                } else {
                    mix_of::<1, 1>(weights, stride, &values[j..], d, n, &mut out[j..]);
                    j += LANES;
                }
            }
        }
        for h in 0..n_taken {
            for j in whole..d {
                for i in 0..n {
                    out[h * d + j] =
                        weights[h * stride + i].mul_add(values[i * d + j], out[h * d + j]);
                }
            }
        }
        h += n_taken;
    }
}

/// # Safety
/// AVX-512 F; `H` heads in `weights` and `out`, `n` positions, `J` vectors at each.
#[target_feature(enable = "avx512f")]
#[expect(clippy::needless_range_loop, reason = "constant bounds keep the sums in registers")]
unsafe fn mix_of<const H: usize, const J: usize>(
    weights: &[f32],
    stride: usize,
    values: &[f32],
    d: usize,
    n: usize,
    out: &mut [f32],
) {
    let mut sums = [[_mm512_setzero_ps(); J]; H];
    // SAFETY: the caller's promise.
    unsafe {
        let out = out.as_mut_ptr();
        for h in 0..H {
            for j in 0..J {
                sums[h][j] = _mm512_loadu_ps(out.add(h * d + j * LANES));
            }
        }
        for i in 0..n {
            let mut line = [_mm512_setzero_ps(); J];
            for j in 0..J {
                line[j] = _mm512_loadu_ps(values.as_ptr().add(i * d + j * LANES));
            }
            for h in 0..H {
                let weight = _mm512_set1_ps(*weights.as_ptr().add(h * stride + i));
                for j in 0..J {
                    sums[h][j] = _mm512_fmadd_ps(weight, line[j], sums[h][j]);
                }
            }
        }
        for h in 0..H {
            for j in 0..J {
                _mm512_storeu_ps(out.add(h * d + j * LANES), sums[h][j]);
            }
        }
    }
}
