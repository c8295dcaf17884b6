//! Packed MXFP4 as small integers, and their sums: four products and their sum in each of 16 lanes at once.

use std::arch::x86_64::*;

use super::slab::{LANES, Rows, fill_scales, transposed};
use crate::int8::{Activations, QUAD, Slab, Weights};
use crate::matrix::{Cells, GROUP, Matrix};
use crate::scalar;
use crate::slab::{DEEP, N_GROUPS, Place, WIDE};

/// As the scalar twin.
pub(crate) fn fill(w: &Matrix<'_>, place: Place, ahead: &[u8], slab: &mut Slab) {
    let Cells::Mxfp4 { blocks, scales } = w.cells else { unreachable!("only MXFP4 is filled in") };
    let pieces = slab.cells.chunks_exact_mut(DEEP * WIDE);
    let pieces = pieces.zip(slab.scales.chunks_exact_mut(N_GROUPS * WIDE)).zip(place.pieces());
    for (piece, ((cells, own), place)) in pieces.enumerate() {
        let rows = Rows::codes(w, blocks, place);
        for strip in 0..WIDE / LANES {
            let rows = rows.asking(ahead, piece * WIDE + strip * LANES);
            // SAFETY: this table exists only where the CPU has AVX-512; 64 bytes are DEEP codes.
            unsafe { codes_strip(rows, strip, cells) };
        }
        fill_scales(w, scales, place, own);
    }
}

/// Every word of the rows is eight codes: the low halves of its bytes are one quad, the high ones the next.
///
/// # Safety
/// AVX-512 F and BW; `cells` is `[DEEP / 4, WIDE, 4]` and begins at a multiple of 64 bytes, as slabs do.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn codes_strip(rows: Rows, strip: usize, cells: &mut [u8]) {
    // SAFETY: the caller's promise.
    let words = transposed(unsafe { rows.load(strip) });
    // SAFETY: the table has 16 bytes.
    let values =
        _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(scalar::int8::CODES.as_ptr().cast()) });
    let low_half = _mm512_set1_epi8(15);
    for (word, lines) in words.into_iter().zip(cells.as_chunks_mut::<{ 2 * WIDE * QUAD }>().0) {
        let low = _mm512_and_si512(word, low_half);
        let high = _mm512_and_si512(_mm512_srli_epi16::<4>(word), low_half);
        for (codes, line) in [low, high].into_iter().zip(lines.as_chunks_mut::<{ WIDE * QUAD }>().0)
        {
            let out = line.as_chunks_mut::<{ LANES * QUAD }>().0[strip].as_mut_ptr();
            // SAFETY: 64 bytes are there, at a multiple of 64.
            unsafe { _mm512_store_si512(out.cast(), _mm512_shuffle_epi8(values, codes)) };
        }
    }
}

/// As the scalar twin.
pub(crate) fn accumulate(x: Activations<'_>, w: Weights<'_>, totals: &mut [f32]) {
    let n_groups = w.scales.len() / WIDE;
    assert!(w.cells.len() == n_groups * GROUP * WIDE && totals.len() == x.n * WIDE);
    assert!(x.quads.len() == n_groups * GROUP / QUAD * x.n);
    assert!(x.scales.len() == n_groups * x.n && x.sums.len() == n_groups * x.n);
    let kernel = match x.n {
        1 => groups::<1>,
        2 => groups::<2>,
        3 => groups::<3>,
        4 => groups::<4>,
        5 => groups::<5>,
        6 => groups::<6>,
        7 => groups::<7>,
        8 => groups::<8>,
        9 => groups::<9>,
        10 => groups::<10>,
        11 => groups::<11>,
        12 => groups::<12>,
        n => unreachable!("rows come at most 12 at once, not {n}"),
    };
    // SAFETY: the table has this kernel only where the CPU has AVX-512 with VNNI; the lengths were just checked.
    unsafe { kernel(x, w, totals) }
}

/// # Safety
/// AVX-512 F and VNNI; lengths as asserted by [`accumulate`] for `R` rows.
#[target_feature(enable = "avx512f,avx512vnni")]
#[expect(clippy::needless_range_loop, reason = "constant bounds keep the sums in registers")]
unsafe fn groups<const R: usize>(x: Activations<'_>, w: Weights<'_>, totals: &mut [f32]) {
    let quads = GROUP / QUAD;
    for g in 0..w.scales.len() / WIDE {
        let mut sums = [[_mm512_setzero_si512(); 2]; R];
        // SAFETY: group g lies inside all of them; the caller's promise.
        unsafe {
            for r in 0..R {
                let raised = i32::from(w.offset) * *x.sums.as_ptr().add(g * R + r);
                sums[r] = [_mm512_set1_epi32(-raised); 2];
            }
            for quad in g * quads..(g + 1) * quads {
                let line = w.cells.as_ptr().add(quad * WIDE * QUAD);
                let cells = [
                    _mm512_loadu_si512(line.cast()),
                    _mm512_loadu_si512(line.add(LANES * QUAD).cast()),
                ];
                let quads = x.quads.as_ptr().add(quad * R);
                for r in 0..R {
                    let four = _mm512_set1_epi32(*quads.add(r));
                    sums[r][0] = _mm512_dpbusd_epi32(sums[r][0], cells[0], four);
                    sums[r][1] = _mm512_dpbusd_epi32(sums[r][1], cells[1], four);
                }
            }
            let scales = w.scales.as_ptr().add(g * WIDE);
            let scales = [_mm512_loadu_ps(scales), _mm512_loadu_ps(scales.add(LANES))];
            for r in 0..R {
                let own = _mm512_set1_ps(*x.scales.as_ptr().add(g * R + r) * w.factor);
                for half in 0..2 {
                    let total = totals.as_mut_ptr().add(r * WIDE + half * LANES);
                    let scale = _mm512_mul_ps(own, scales[half]);
                    let sum = _mm512_cvtepi32_ps(sums[r][half]);
                    _mm512_storeu_ps(total, _mm512_fmadd_ps(sum, scale, _mm512_loadu_ps(total)));
                }
            }
        }
    }
}
