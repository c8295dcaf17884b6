//! Sums of products of small integers: four products and their sum in each of 16 lanes at once.

use std::arch::x86_64::*;

use super::slab::LANES;
use crate::int8::{Activations, QUAD, Weights};
use crate::matrix::GROUP;
use crate::slab::WIDE;

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
