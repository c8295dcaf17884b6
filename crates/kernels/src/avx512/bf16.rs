//! Weights and activations as pairs of bfloat16, and their sums: two products a lane at once.

use std::arch::x86_64::*;

use super::slab::{LANES, Rows, transposed};
use crate::bf16::{Activations, Line, PAIR, Slab};
use crate::matrix::{Cells, GROUP, Matrix};
use crate::recipe::{RowGroup, row_groups};
use crate::scalar;
use crate::slab::{DEEP, Place, WIDE};

/// As the scalar twin.
pub(crate) fn round(row: &[f32], lines: &mut [Line], stride: usize) {
    let (whole, rest) = row.as_chunks::<GROUP>();
    let mut lines = lines.iter_mut().step_by(stride);
    for (values, line) in whole.iter().zip(&mut lines) {
        // SAFETY: this table exists only where the CPU has AVX-512.
        unsafe { round_line(values, line) };
    }
    if let Some(line) = lines.next() {
        scalar::bf16::round(rest, std::slice::from_mut(line), 1);
    }
}

/// # Safety
/// AVX-512 F.
#[target_feature(enable = "avx512f")]
unsafe fn round_line(values: &[f32; GROUP], line: &mut Line) {
    let (below_half, one) = (_mm512_set1_epi32(0x7fff), _mm512_set1_epi32(1));
    for (values, cells) in
        values.as_chunks::<LANES>().0.iter().zip(line.0.as_chunks_mut::<LANES>().0)
    {
        // SAFETY: 16 floats are there.
        let values = unsafe { _mm512_loadu_ps(values.as_ptr()) };
        let bits = _mm512_castps_si512(values);
        let last = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), one);
        let rounded = _mm512_add_epi32(bits, _mm512_add_epi32(below_half, last));
        let is_nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(values, values);
        let quiet = _mm512_set1_epi32(0x0040_0000);
        let rounded = _mm512_mask_or_epi32(rounded, is_nan, bits, quiet);
        let upper = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(rounded));
        // SAFETY: 16 cells are there.
        unsafe { _mm256_storeu_si256(cells.as_mut_ptr().cast(), upper) };
    }
}

/// As the scalar twin. Rows are turned over pair by pair.
pub(crate) fn fill(w: &Matrix<'_>, place: Place, ahead: &[u8], cells: &mut [u16]) {
    let Cells::Bf16(bytes) = w.cells else { unreachable!("other formats are filled in otherwise") };
    assert!(cells.len() == DEEP * WIDE);
    for k in (0..place.n_k).step_by(GROUP) {
        let n_cells = (place.n_k - k).min(GROUP);
        let rows = Rows::new(bytes, w.n_in * 2, place, (place.k + k) * 2, n_cells * 2);
        for strip in 0..WIDE / LANES {
            let rows = rows.asking(ahead, k + strip * LANES);
            // SAFETY: this table exists only where the CPU has AVX-512; the cells from k on hold a group.
            unsafe { bf16_strip(rows, strip, &mut cells[k * WIDE..]) };
        }
    }
}

/// Every word of the rows is a pair.
///
/// # Safety
/// AVX-512 F and BW; `cells` is `[32 / 2, WIDE, 2]` or longer.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn bf16_strip(rows: Rows, strip: usize, cells: &mut [u16]) {
    // SAFETY: the caller's promise.
    let words = transposed(unsafe { rows.load(strip) });
    for (word, line) in words.into_iter().zip(cells.as_chunks_mut::<{ WIDE * PAIR }>().0) {
        let out = line.as_chunks_mut::<{ LANES * PAIR }>().0[strip].as_mut_ptr();
        // SAFETY: 64 bytes are there.
        unsafe { _mm512_storeu_si512(out.cast(), word) };
    }
}

/// Rows whose sums are held in registers together, at most.
const ROWS: usize = 12;

/// As the scalar twin.
pub(crate) fn accumulate(x: Activations<'_>, slab: &Slab, totals: &mut [f32]) {
    assert!(x.lines.len() >= x.n_groups * x.n && totals.len() >= x.n * WIDE);
    assert!(x.n_groups * GROUP * WIDE <= slab.cells.len());
    for RowGroup { start, n, .. } in row_groups(x.n, x.n_groups * GROUP, ROWS) {
        let kernel = match n {
            1 => rows_at_once::<1, 4>,
            2 => rows_at_once::<2, 4>,
            3 => rows_at_once::<3, 2>,
            4 => rows_at_once::<4, 2>,
            5 => rows_at_once::<5, 1>,
            6 => rows_at_once::<6, 1>,
            7 => rows_at_once::<7, 1>,
            8 => rows_at_once::<8, 1>,
            9 => rows_at_once::<9, 1>,
            10 => rows_at_once::<10, 1>,
            11 => rows_at_once::<11, 1>,
            12 => rows_at_once::<12, 1>,
            n => unreachable!("rows come at most 12 at once, not {n}"),
        };
        // SAFETY: the table has this kernel only where the CPU has AVX-512 with bfloat16; the lengths were just checked.
        unsafe { kernel(x, start, slab, &mut totals[start * WIDE..][..n * WIDE]) };
    }
}

/// `G` groups at once where few rows leave room for more sums under way; the order of each sum is the same.
///
/// # Safety
/// AVX-512 F and BF16; rows `start..start + R` are in `x`, and `totals` is `[R, WIDE]`.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn rows_at_once<const R: usize, const G: usize>(
    x: Activations<'_>,
    start: usize,
    slab: &Slab,
    totals: &mut [f32],
) {
    let mut g = 0;
    while g + G <= x.n_groups {
        // SAFETY: G groups follow g.
        unsafe { groups::<R, G>(x, start, slab, g, totals) };
        g += G;
    }
    while g < x.n_groups {
        // SAFETY: a group follows g.
        unsafe { groups::<R, 1>(x, start, slab, g, totals) };
        g += 1;
    }
}

/// # Safety
/// As [`rows_at_once`]; `G` groups from `first` on are in `x` and in the slab.
#[target_feature(enable = "avx512f,avx512bf16")]
#[inline]
#[expect(clippy::needless_range_loop, reason = "constant bounds keep the sums in registers")]
unsafe fn groups<const R: usize, const G: usize>(
    x: Activations<'_>,
    start: usize,
    slab: &Slab,
    first: usize,
    totals: &mut [f32],
) {
    let mut sums = [[[_mm512_setzero_ps(); 2]; R]; G];
    // SAFETY: the caller's promise.
    unsafe {
        let lines = x.lines.as_ptr().add(first * x.n + start);
        let cells = slab.cells.as_ptr().add(first * GROUP * WIDE);
        for pair in 0..GROUP / PAIR {
            for g in 0..G {
                let line = cells.add((g * GROUP + pair * PAIR) * WIDE);
                let w = [pairs(line), pairs(line.add(LANES * PAIR))];
                for r in 0..R {
                    let value = lines.add(g * x.n + r).cast::<i32>().add(pair).read();
                    let value = std::mem::transmute::<__m512i, __m512bh>(_mm512_set1_epi32(value));
                    sums[g][r][0] = _mm512_dpbf16_ps(sums[g][r][0], w[0], value);
                    sums[g][r][1] = _mm512_dpbf16_ps(sums[g][r][1], w[1], value);
                }
            }
        }
        for g in 0..G {
            for r in 0..R {
                for half in 0..2 {
                    let total = totals.as_mut_ptr().add(r * WIDE + half * LANES);
                    _mm512_storeu_ps(
                        total,
                        _mm512_add_ps(_mm512_loadu_ps(total), sums[g][r][half]),
                    );
                }
            }
        }
    }
}

/// # Safety
/// AVX-512 F; 64 bytes are there, at a multiple of 64.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn pairs(cells: *const u16) -> __m512bh {
    // SAFETY: the caller's promise; the types are one register.
    unsafe { std::mem::transmute::<__m512i, __m512bh>(_mm512_load_si512(cells.cast())) }
}
