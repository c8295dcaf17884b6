//! Packed MXFP4 as small integers, and their sums: pairs of products as 16-bit integers, then their sums.

use std::arch::x86_64::*;

use super::slab::ask_for;
use crate::int8::{Activations, QUAD, Slab, Weights};
use crate::matrix::{Cells, GROUP, Matrix};
use crate::scalar;
use crate::slab::{Place, WIDE, set_scales};

/// Outputs of a vector.
const LANES: usize = 8;
/// Vectors of a line.
const N: usize = WIDE / LANES;

/// As the scalar twin, 32 codes at a time.
pub(crate) fn fill(w: &Matrix<'_>, place: Place, ahead: &[u8], slab: &mut Slab) {
    let Cells::Mxfp4 { blocks, scales } = w.cells else { unreachable!("only MXFP4 is filled in") };
    ask_for(ahead);
    for row in 0..place.n_rows {
        // SAFETY: this table exists only where the CPU has AVX2; row is below WIDE.
        unsafe { codes_row(place.blocks(w, blocks, row), row, &mut slab.cells) };
        set_scales(&mut slab.scales, row, place.scales(w, scales, row));
    }
}

/// # Safety
/// AVX2; whole groups of codes, as many as a slab has at most; `row` is below `WIDE`.
#[target_feature(enable = "avx2")]
unsafe fn codes_row(blocks: &[u8], row: usize, cells: &mut [u8]) {
    // SAFETY: the table has 16 bytes.
    let values = unsafe { _mm_loadu_si128(scalar::int8::CODES.as_ptr().cast()) };
    let low_half = _mm_set1_epi8(15);
    let (groups, _) = blocks.as_chunks::<16>();
    for (codes, lines) in groups.iter().zip(cells.chunks_exact_mut(GROUP * WIDE)) {
        // SAFETY: the chunk has 16 bytes.
        let codes = unsafe { _mm_loadu_si128(codes.as_ptr().cast()) };
        let halves = [codes, _mm_srli_epi16::<4>(codes)];
        for (odd, codes) in halves.into_iter().enumerate() {
            let mut quads = [[0; QUAD]; 4];
            let found = _mm_shuffle_epi8(values, _mm_and_si128(codes, low_half));
            // SAFETY: four quads are 16 bytes.
            unsafe { _mm_storeu_si128(quads.as_mut_ptr().cast(), found) };
            for (eight, quad) in quads.iter().enumerate() {
                let at = ((2 * eight + odd) * WIDE + row) * QUAD;
                lines[at..at + QUAD].copy_from_slice(quad);
            }
        }
    }
}

/// As the scalar twin.
pub(crate) fn accumulate(x: Activations<'_>, w: Weights<'_>, totals: &mut [f32]) {
    let n_groups = w.scales.len() / WIDE;
    assert!(w.cells.len() == n_groups * GROUP * WIDE && totals.len() == x.n * WIDE);
    assert!(x.quads.len() == n_groups * GROUP / QUAD * x.n);
    assert!(x.scales.len() == n_groups * x.n && x.sums.len() == n_groups * x.n);
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
    let offset = _mm256_set1_epi8(w.offset as i8);
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
            let own = _mm256_set1_ps(x.scales[g * x.n + r] * w.factor);
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
