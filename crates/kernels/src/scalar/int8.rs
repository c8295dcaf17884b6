//! Activations as small integers, and sums of products.

use crate::int8::{
    Activations, MOST, NOTHING, OFFSET, QUAD, Rounded, Weights, in_quads, integer, largest,
};
use crate::matrix::GROUP;
use crate::slab::WIDE;

/// Twice the 16 values of a 4-bit float, raised by [`OFFSET`].
pub(crate) const CODES: [u8; 16] =
    [128, 129, 130, 131, 132, 134, 136, 140, 128, 127, 126, 125, 124, 122, 120, 116];

/// Rounds a row, group by group; the values of one and the next lie `stride` apart.
pub(crate) fn round(row: &[f32], out: Rounded<'_>, stride: usize) {
    for (g, values) in row.as_chunks::<GROUP>().0.iter().enumerate() {
        let (integers, scale) = integers(values);
        out.scales[g * stride] = scale;
        out.starts[g * stride] = -i32::from(OFFSET) * integers.iter().sum::<i32>();
        for (at, [a, b, c, d]) in integers.as_chunks::<QUAD>().0.iter().enumerate() {
            out.quads[(g * GROUP / QUAD + at) * stride] =
                a & 255 | (b & 255) << 8 | (c & 255) << 16 | d << 24;
        }
    }
}

/// A group of values as integers in the order of quads, and what they are to be multiplied by. Where a value is
/// infinite or no number, the scale is no number, so that the sum is none either.
fn integers(values: &[f32; GROUP]) -> ([i32; GROUP], f32) {
    let most = largest(values);
    // Zero, unless a value is not finite.
    let poison: f32 = values.iter().map(|value| value * 0.0).sum();
    let inverse = if most > NOTHING { MOST / most } else { 0.0 };
    let mut out = [0; GROUP];
    for (at, value) in values.iter().enumerate() {
        out[in_quads(at)] = integer(value * inverse);
    }
    (out, most / MOST + poison)
}

/// `totals[r, n] += (sum over a group of x[r, k] * w[n, k]) * (scale of x * scale of w)`, group by group; the sum is
/// one of integers.
pub(crate) fn accumulate(x: Activations<'_>, w: Weights<'_>, totals: &mut [f32]) {
    let quads = GROUP / QUAD;
    for (g, scales) in w.scales.chunks_exact(WIDE).enumerate() {
        for (r, totals) in totals.chunks_exact_mut(WIDE).enumerate() {
            let mut sums = [x.starts[g * x.n + r]; WIDE];
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
            let scale = x.scales[g * x.n + r];
            for ((total, sum), own) in totals.iter_mut().zip(sums).zip(scales) {
                *total = (sum as f32).mul_add(scale * own, *total);
            }
        }
    }
}

const _: () = assert!(CODES[0] == OFFSET);
