//! Scores, weights and mixtures of attention, in the order that all instruction sets keep.

use crate::attend::BLOCK;

/// Sums that [`weigh`] keeps side by side.
pub(crate) const LANES: usize = 16;

/// `out[h * stride + i] = (sum over j of q[h, j] * keys[j, i]) * scale`, `j` in ascending order.
pub(crate) fn scores(
    q: &[f32],
    d: usize,
    keys: &[f32],
    scale: f32,
    out: &mut [f32],
    stride: usize,
) {
    for (h, q) in q.chunks_exact(d).enumerate() {
        let mut sums = [0.0_f32; BLOCK];
        for (q, keys) in q.iter().zip(keys.chunks_exact(BLOCK)) {
            for (sum, key) in sums.iter_mut().zip(keys) {
                *sum = q.mul_add(*key, *sum);
            }
        }
        for (out, sum) in out[h * stride..].iter_mut().zip(sums) {
            *out = sum * scale;
        }
    }
}

/// Turns scores into weights: `exp(score - top)` over the sum of these and the sink's. Sums run in [`LANES`] lanes.
pub(crate) fn weigh(scores: &mut [f32], sink: f32) {
    let top = scores.iter().fold(sink, |top, &score| if score > top { score } else { top });
    let mut sums = [0.0; LANES];
    for scores in scores.chunks_mut(LANES) {
        for (score, sum) in scores.iter_mut().zip(&mut sums) {
            *score = exp(*score - top);
            *sum += *score;
        }
    }
    let share = share(sums, sink - top);
    for score in scores {
        *score *= share;
    }
}

/// The factor that makes weights of exponentials; `sink` is the sink's distance from the top.
pub(crate) fn share(sums: [f32; LANES], sink: f32) -> f32 {
    1.0 / (sum_of(sums) + exp(sink))
}

/// The lanes' sum, by halves.
#[inline(always)]
pub(crate) fn sum_of(mut sums: [f32; LANES]) -> f32 {
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
    }
    sums[0]
}

/// `sum of exp(x - top)`, in [`LANES`] lanes.
pub(crate) fn sum_exp(x: &[f32], top: f32) -> f32 {
    let mut sums = [0.0; LANES];
    for x in x.chunks(LANES) {
        for (x, sum) in x.iter().zip(&mut sums) {
            *sum += exp(*x - top);
        }
    }
    sum_of(sums)
}

/// `out[h, j] += sum over i of weights[h * stride + i] * values[i, j]`, `i` in ascending order.
pub(crate) fn mix(weights: &[f32], stride: usize, values: &[f32], d: usize, out: &mut [f32]) {
    for (h, out) in out.chunks_exact_mut(d).enumerate() {
        for (weight, values) in weights[h * stride..].iter().zip(values.chunks_exact(d)) {
            for (out, value) in out.iter_mut().zip(values) {
                *out = weight.mul_add(*value, *out);
            }
        }
    }
}

/// Below this, `e^x` counts as nothing: it would be no normal number.
pub(crate) const LEAST: f32 = -87.0;
/// `ln 2` in two parts, the first with few digits, so that whole multiples of it are exact (Cephes `expf`).
pub(crate) const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
/// Coefficients of Cephes' `expf`, highest power first.
pub(crate) const EXP: [f32; 6] =
    [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];

/// `e^x` of a number that is not above 0, to about one unit in the last place.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    if x < LEAST {
        return 0.0;
    }
    let n = (x * std::f32::consts::LOG2_E).round_ties_even();
    let r = (-n).mul_add(LN_2[1], (-n).mul_add(LN_2[0], x));
    let series = EXP[1..].iter().fold(EXP[0], |sum, factor| sum.mul_add(r, *factor));
    let value = series.mul_add(r * r, r) + 1.0;
    // n is between -126 and 0; a NaN goes on as the value's.
    value * f32::from_bits(((n as i32 + 127) as u32) << 23)
}
