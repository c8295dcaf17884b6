//! Sums of few rows straight from tiles of MXFP4: what is unpacked never leaves the registers.
//!
//! Orders and roundings are those of `product.rs` and `int8.rs`. How a group's sums are scaled is written out here once
//! more: as one function of both it took 4 to 11 % longer.

use std::arch::x86_64::*;

use super::mxfp4::scale;
use super::slab::LANES;
use crate::int8::{Activations, QUAD};
use crate::matrix::GROUP;
use crate::mxfp4::{AHEAD, Codes, EIGHT, WORD};
use crate::scalar;
use crate::slab::WIDE;

/// Bytes of the words of a line.
const LINE: usize = WIDE * WORD;
/// Lines of a group.
const LINES: usize = GROUP / EIGHT;
/// Rows that are summed from codes at most, as many as are summed together.
const ROWS: usize = 12;

/// Exact sums of `n_rows` rows, `[n_in, n_rows]`, into `totals` `[n_rows, WIDE]`, which are zero before.
pub(crate) fn accumulate(x: &[f32], n_rows: usize, w: Codes<'_>, totals: &mut [f32]) {
    let n_groups = w.n_groups();
    assert!(w.codes.len() == n_groups * LINES * LINE && totals.len() == n_rows * WIDE);
    assert!(x.len() == n_groups * GROUP * n_rows);
    let kernel = match n_rows {
        1 => floats::<1, 4>,
        2 => floats::<2, 4>,
        3 => floats::<3, 2>,
        4 => floats::<4, 2>,
        5 => floats::<5, 1>,
        6 => floats::<6, 1>,
        7 => floats::<7, 1>,
        8 => floats::<8, 1>,
        9 => floats::<9, 1>,
        10 => floats::<10, 1>,
        11 => floats::<11, 1>,
        ROWS => floats::<ROWS, 1>,
        n => unreachable!("rows come at most {ROWS} at once, not {n}"),
    };
    // SAFETY: this table exists only where the CPU has AVX-512; the lengths were just checked.
    unsafe { kernel(x, w, totals) }
}

/// `G` groups at once where few rows leave room for more sums under way; the order of each sum is the same.
///
/// # Safety
/// AVX-512 F; lengths as asserted by [`accumulate`] for `R` rows.
#[target_feature(enable = "avx512f")]
unsafe fn floats<const R: usize, const G: usize>(x: &[f32], w: Codes<'_>, totals: &mut [f32]) {
    let n_groups = w.n_groups();
    let mut g = 0;
    while g + G <= n_groups {
        // SAFETY: G groups follow g.
        unsafe { float_groups::<R, G>(x, w, g, totals) };
        g += G;
    }
    while g < n_groups {
        // SAFETY: a group follows g.
        unsafe { float_groups::<R, 1>(x, w, g, totals) };
        g += 1;
    }
}

/// # Safety
/// As [`floats`]; `G` groups from `first` on.
#[target_feature(enable = "avx512f")]
#[inline]
#[expect(clippy::needless_range_loop, reason = "constant bounds keep the sums in registers")]
unsafe fn float_groups<const R: usize, const G: usize>(
    x: &[f32],
    w: Codes<'_>,
    first: usize,
    totals: &mut [f32],
) {
    let mut sums = [[[_mm512_setzero_ps(); 2]; R]; G];
    // SAFETY: the caller's promise; the table has 16 floats.
    unsafe {
        let values = _mm512_loadu_ps(scalar::unpack::FP4.as_ptr());
        let x = x.as_ptr().add(first * GROUP * R);
        for line in 0..LINES {
            let mut words = [[_mm512_setzero_si512(); 2]; G];
            for g in 0..G {
                words[g] = w.words((first + g) * LINES + line);
            }
            for at in line * EIGHT..(line + 1) * EIGHT {
                for g in 0..G {
                    let [low, high] = words[g];
                    let cells =
                        [_mm512_permutexvar_ps(low, values), _mm512_permutexvar_ps(high, values)];
                    words[g] = [_mm512_srli_epi32::<4>(low), _mm512_srli_epi32::<4>(high)];
                    for r in 0..R {
                        let value = _mm512_set1_ps(*x.add((g * GROUP + at) * R + r));
                        sums[g][r][0] = _mm512_fmadd_ps(value, cells[0], sums[g][r][0]);
                        sums[g][r][1] = _mm512_fmadd_ps(value, cells[1], sums[g][r][1]);
                    }
                }
            }
        }
        for g in 0..G {
            let scales = w.scales_of(first + g);
            for r in 0..R {
                for half in 0..2 {
                    let total = totals.as_mut_ptr().add(r * WIDE + half * LANES);
                    let sum =
                        _mm512_fmadd_ps(sums[g][r][half], scales[half], _mm512_loadu_ps(total));
                    _mm512_storeu_ps(total, sum);
                }
            }
        }
    }
}

/// Sums in small integers of rows, into `totals` `[rows, WIDE]`, which are zero before.
pub(crate) fn accumulate_int8(x: Activations<'_>, w: Codes<'_>, totals: &mut [f32]) {
    let n_groups = w.n_groups();
    assert!(w.codes.len() == n_groups * LINES * LINE && totals.len() == x.n * WIDE);
    assert!(x.quads.len() == n_groups * GROUP / QUAD * x.n);
    assert!(x.scales.len() == n_groups * x.n && x.starts.len() == n_groups * x.n);
    let kernel = match x.n {
        1 => integers::<1>,
        2 => integers::<2>,
        3 => integers::<3>,
        4 => integers::<4>,
        5 => integers::<5>,
        6 => integers::<6>,
        7 => integers::<7>,
        8 => integers::<8>,
        9 => integers::<9>,
        10 => integers::<10>,
        11 => integers::<11>,
        ROWS => integers::<ROWS>,
        n => unreachable!("rows come at most {ROWS} at once, not {n}"),
    };
    // SAFETY: the table has this kernel only where the CPU has AVX-512 with VNNI and VBMI; the lengths were just checked.
    unsafe { kernel(x, w, totals) }
}

/// # Safety
/// AVX-512 F, BW, VNNI and VBMI; lengths as asserted by [`accumulate_int8`] for `R` rows.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx512vbmi")]
#[expect(clippy::needless_range_loop, reason = "constant bounds keep the sums in registers")]
unsafe fn integers<const R: usize>(x: Activations<'_>, w: Codes<'_>, totals: &mut [f32]) {
    // Looking up takes the lower six bits of a byte; with the table four times over, the upper two of them change nothing.
    // SAFETY: the table has 16 bytes.
    let values =
        _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(scalar::int8::CODES.as_ptr().cast()) });
    for g in 0..w.n_groups() {
        let mut sums = [[_mm512_setzero_si512(); 2]; R];
        // SAFETY: group g lies inside all of them; the caller's promise.
        unsafe {
            for r in 0..R {
                sums[r] = [_mm512_set1_epi32(*x.starts.as_ptr().add(g * R + r)); 2];
            }
            for line in g * LINES..(g + 1) * LINES {
                let mut words = w.words(line);
                for half in 0..2 {
                    let cells = [
                        _mm512_permutexvar_epi8(words[0], values),
                        _mm512_permutexvar_epi8(words[1], values),
                    ];
                    words = [_mm512_srli_epi16::<4>(words[0]), _mm512_srli_epi16::<4>(words[1])];
                    let quads = x.quads.as_ptr().add((line * 2 + half) * R);
                    for r in 0..R {
                        let four = _mm512_set1_epi32(*quads.add(r));
                        sums[r][0] = _mm512_dpbusd_epi32(sums[r][0], cells[0], four);
                        sums[r][1] = _mm512_dpbusd_epi32(sums[r][1], cells[1], four);
                    }
                }
            }
            let scales = w.scales_of(g);
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

impl Codes<'_> {
    /// The words of a line.
    ///
    /// # Safety
    /// AVX-512 F; there is such a line.
    #[target_feature(enable = "avx512f")]
    #[inline]
    unsafe fn words(self, line: usize) -> [__m512i; 2] {
        // SAFETY: the caller's promise: a line has 32 words.
        unsafe {
            let start = self.codes.as_ptr().add(line * LINE).cast::<__m512i>();
            let ahead = start.cast::<i8>().wrapping_add(AHEAD);
            _mm_prefetch::<_MM_HINT_T0>(ahead);
            _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(64));
            [_mm512_loadu_si512(start), _mm512_loadu_si512(start.add(1))]
        }
    }

    /// The scales of a group as floats.
    ///
    /// # Safety
    /// AVX-512 F; there is such a group.
    #[target_feature(enable = "avx512f")]
    #[inline]
    unsafe fn scales_of(self, group: usize) -> [__m512; 2] {
        // SAFETY: the caller's promise: a group has 32 bytes.
        unsafe {
            let start = self.scales.as_ptr().add(group * WIDE).cast::<__m128i>();
            [scale(_mm_loadu_si128(start)), scale(_mm_loadu_si128(start.add(1)))]
        }
    }
}
