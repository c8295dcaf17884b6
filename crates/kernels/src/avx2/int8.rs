//! Sums of products of small integers: pairs of products as 16-bit integers, then their sums.

use std::arch::x86_64::*;

use crate::int8::{Activations, OFFSET, QUAD, Weights};
use crate::matrix::GROUP;
use crate::slab::WIDE;

/// Outputs of a vector.
const LANES: usize = 8;
/// Vectors of a line.
const N: usize = WIDE / LANES;

/// As the scalar twin.
pub(crate) fn accumulate(x: Activations<'_>, w: Weights<'_>, totals: &mut [f32]) {
    let n_groups = w.scales.len() / WIDE;
    assert!(w.cells.len() == n_groups * GROUP * WIDE && totals.len() == x.n * WIDE);
    assert!(x.quads.len() == n_groups * GROUP / QUAD * x.n);
    assert!(x.scales.len() == n_groups * x.n && x.starts.len() == n_groups * x.n);
    for r in 0..x.n {
        let totals = &mut totals[r * WIDE..][..WIDE];
        // SAFETY: this table exists only where the CPU has AVX2 and FMA; the lengths were just checked.
        unsafe { row_groups(x, r, w, totals) }
    }
}

/// # Safety
/// AVX2 and FMA; lengths as asserted by [`accumulate`], `totals` of one row.
#[target_feature(enable = "avx2,fma")]
#[expect(clippy::needless_range_loop, reason = "constant bounds keep the sums in registers")]
unsafe fn row_groups(x: Activations<'_>, r: usize, w: Weights<'_>, totals: &mut [f32]) {
    let quads = GROUP / QUAD;
    // Weights become signed again: a pair of products of a raised one would not fit 16 bits.
    let offset = _mm256_set1_epi8(OFFSET as i8);
    let ones = _mm256_set1_epi16(1);
    for g in 0..w.scales.len() / WIDE {
        let mut sums = [_mm256_setzero_si256(); N];
        // SAFETY: group g lies inside all of them; the caller's promise.
        unsafe {
            for quad in g * quads..(g + 1) * quads {
                let four = _mm256_set1_epi32(x.quads[quad * x.n + r]);
                let line = w.cells.as_ptr().add(quad * WIDE * QUAD);
                for at in 0..N {
                    let cells = _mm256_loadu_si256(line.add(at * LANES * QUAD).cast());
                    let cells = _mm256_sub_epi8(cells, offset);
                    let signed = _mm256_sign_epi8(four, cells);
                    let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(cells), signed);
                    sums[at] = _mm256_add_epi32(sums[at], _mm256_madd_epi16(pairs, ones));
                }
            }
            let own = _mm256_set1_ps(x.scales[g * x.n + r]);
            for at in 0..N {
                let scales = _mm256_loadu_ps(w.scales.as_ptr().add(g * WIDE + at * LANES));
                let total = totals.as_mut_ptr().add(at * LANES);
                let scale = _mm256_mul_ps(own, scales);
                let sum = _mm256_cvtepi32_ps(sums[at]);
                _mm256_storeu_ps(total, _mm256_fmadd_ps(sum, scale, _mm256_loadu_ps(total)));
            }
        }
    }
}
