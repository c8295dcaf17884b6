//! Slabs filled and turned over, 8 rows by 8 inputs at a time.

use std::arch::x86_64::*;

use crate::dispatch::Kernels;
use crate::matrix::Matrix;
use crate::slab::{DEEP, Place, Slab, WIDE};

/// Outputs of a vector.
const LANES: usize = 8;
/// Vectors of a line.
const N: usize = WIDE / LANES;

/// As the scalar twin.
pub(crate) fn turn(rows: &[f32], n_k: usize, cells: &mut [f32]) {
    assert!(rows.len() == WIDE * DEEP && cells.len() == WIDE * DEEP && n_k <= DEEP);
    for k in (0..n_k).step_by(LANES) {
        for strip in 0..N {
            // SAFETY: AVX2 is present; DEEP is a multiple of 8, so the block lies inside both.
            unsafe {
                turn_block(
                    &rows[strip * LANES * DEEP + k..],
                    &mut cells[k * WIDE + strip * LANES..],
                )
            };
        }
    }
}

/// # Safety
/// AVX2; 8 rows `DEEP` apart, 8 lines `WIDE` apart, 8 floats each.
#[target_feature(enable = "avx2")]
unsafe fn turn_block(rows: &[f32], cells: &mut [f32]) {
    let mut lines = [_mm256_setzero_ps(); LANES];
    for (at, line) in lines.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *line = unsafe { _mm256_loadu_ps(rows.as_ptr().add(at * DEEP)) };
    }
    let mut blocks = [_mm256_setzero_ps(); LANES];
    for at in (0..LANES).step_by(4) {
        let low = [
            _mm256_unpacklo_ps(lines[at], lines[at + 1]),
            _mm256_unpacklo_ps(lines[at + 2], lines[at + 3]),
        ];
        let high = [
            _mm256_unpackhi_ps(lines[at], lines[at + 1]),
            _mm256_unpackhi_ps(lines[at + 2], lines[at + 3]),
        ];
        blocks[at] = _mm256_shuffle_ps::<0x44>(low[0], low[1]);
        blocks[at + 1] = _mm256_shuffle_ps::<0xee>(low[0], low[1]);
        blocks[at + 2] = _mm256_shuffle_ps::<0x44>(high[0], high[1]);
        blocks[at + 3] = _mm256_shuffle_ps::<0xee>(high[0], high[1]);
    }
    for at in 0..4 {
        let (upper, lower) = (blocks[at], blocks[at + 4]);
        let first = _mm256_permute2f128_ps::<0x20>(upper, lower);
        let second = _mm256_permute2f128_ps::<0x31>(upper, lower);
        // SAFETY: the caller's promise.
        unsafe {
            _mm256_storeu_ps(cells.as_mut_ptr().add(at * WIDE), first);
            _mm256_storeu_ps(cells.as_mut_ptr().add((at + 4) * WIDE), second);
        }
    }
}

/// Asks for the bytes ahead, then fills row by row.
pub(crate) fn fill(kernels: &Kernels, w: &Matrix<'_>, place: Place, ahead: &[u8], slab: &mut Slab) {
    for line in ahead.chunks(64) {
        // SAFETY: a hint; it reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
    }
    kernels.fill_by_rows(w, place, ahead, slab);
}
