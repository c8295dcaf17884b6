//! Activations as small integers, and sums of products: four products and their sum in each of 16 lanes at once.

use std::arch::x86_64::*;

use super::slab::LANES;
use crate::int8::{Activations, MOST, NOTHING, OFFSET, QUAD, Quad, Rounded, Weights};
use crate::matrix::GROUP;
use crate::slab::WIDE;

/// As the scalar twin.
pub(crate) fn round(row: &[f32], out: Rounded<'_>, stride: usize) {
    let (groups, _) = row.as_chunks::<GROUP>();
    let n_places = (groups.len().max(1) - 1) * stride;
    assert!(groups.is_empty() || out.scales.len() > n_places && out.starts.len() > n_places);
    for (g, values) in groups.iter().enumerate() {
        // SAFETY: this table exists only where the CPU has AVX-512.
        let (quads, scale, start) = unsafe { round_group(values) };
        out.scales[g * stride] = scale;
        out.starts[g * stride] = start;
        let places = out.quads[g * GROUP / QUAD * stride..].iter_mut().step_by(stride);
        for (place, quad) in places.zip(quads) {
            *place = quad;
        }
    }
}

/// The quads of a group, what they are to be multiplied by, and what their sums start from.
///
/// # Safety
/// AVX-512 F, BW and VL.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn round_group(values: &[f32; GROUP]) -> ([Quad; GROUP / QUAD], f32, i32) {
    // SAFETY: a group has 32 floats.
    let halves =
        unsafe { [_mm512_loadu_ps(values.as_ptr()), _mm512_loadu_ps(values.as_ptr().add(LANES))] };
    // As integers the magnitudes have the same order, and what is not finite is largest.
    let sign_off = _mm512_set1_epi32(i32::MAX);
    let most = _mm512_max_epu32(
        _mm512_and_si512(_mm512_castps_si512(halves[0]), sign_off),
        _mm512_and_si512(_mm512_castps_si512(halves[1]), sign_off),
    );
    let most = f32::from_bits(_mm512_reduce_max_epu32(most));
    if !most.is_finite() {
        return ([0; GROUP / QUAD], f32::NAN, 0);
    }
    let inverse = _mm512_set1_ps(if most > NOTHING { MOST / most } else { 0.0 });
    let integers = [
        _mm512_cvtps_epi32(_mm512_mul_ps(halves[0], inverse)),
        _mm512_cvtps_epi32(_mm512_mul_ps(halves[1], inverse)),
    ];
    let sum = _mm512_reduce_add_epi32(_mm512_add_epi32(integers[0], integers[1]));
    // Of every eight the even ones, then the odd ones.
    let order = _mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15);
    let mut quads = [0; GROUP / QUAD];
    for (half, quads) in quads.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let bytes = _mm_shuffle_epi8(_mm512_cvtepi32_epi8(integers[half]), order);
        // SAFETY: four quads are 16 bytes.
        unsafe { _mm_storeu_si128(quads.as_mut_ptr().cast(), bytes) };
    }
    (quads, most / MOST, -i32::from(OFFSET) * sum)
}

/// As the scalar twin.
pub(crate) fn accumulate(x: Activations<'_>, w: Weights<'_>, totals: &mut [f32]) {
    let n_groups = w.scales.len() / WIDE;
    assert!(w.cells.len() == n_groups * GROUP * WIDE && totals.len() == x.n * WIDE);
    assert!(x.quads.len() == n_groups * GROUP / QUAD * x.n);
    assert!(x.scales.len() == n_groups * x.n && x.starts.len() == n_groups * x.n);
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
                sums[r] = [_mm512_set1_epi32(*x.starts.as_ptr().add(g * R + r)); 2];
            }
            for quad in g * quads..(g + 1) * quads {
                let line = w.cells.as_ptr().add(quad * WIDE * QUAD);
                let ahead = line.cast::<i8>().wrapping_add(w.ahead);
                _mm_prefetch::<_MM_HINT_T1>(ahead);
                _mm_prefetch::<_MM_HINT_T1>(ahead.wrapping_add(LANES * QUAD));
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
                let own = _mm512_set1_ps(*x.scales.as_ptr().add(g * R + r));
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
