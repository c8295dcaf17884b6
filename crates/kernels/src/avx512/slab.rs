//! Slabs filled and turned over, 16 outputs a vector.

use std::arch::x86_64::*;

use crate::dispatch::Kernels;
use crate::matrix::{Cells, Matrix};
use crate::slab::{DEEP, Place, Slab, WIDE};

/// Outputs of a vector.
pub(super) const LANES: usize = 16;

/// 16-bit floats are turned over before they are unpacked: that moves half the bytes.
pub(crate) fn fill(kernels: &Kernels, w: &Matrix<'_>, place: Place, ahead: &[u8], slab: &mut Slab) {
    match w.cells {
        Cells::Bf16(bytes) => {
            for k in (0..place.n_k).step_by(32) {
                let n_cells = (place.n_k - k).min(32);
                let rows = Rows::new(bytes, w.n_in * 2, place, (place.k + k) * 2, n_cells * 2);
                for strip in 0..WIDE / LANES {
                    let rows = rows.asking(ahead, k + strip * LANES);
                    // SAFETY: this table exists only where the CPU has AVX-512; the cells from k on hold 32 inputs.
                    unsafe { bf16_strip(rows, strip, &mut slab.cells[k * WIDE..]) };
                }
            }
            slab.scales.fill(1.0);
        }
        _ => kernels.fill_by_rows(w, place, ahead, slab),
    }
}

/// Equally long pieces of the rows of a slab.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    start: *const u8,
    /// Bytes from one row to the next.
    stride: usize,
    /// The last row that there is.
    last: usize,
    /// Bytes of a piece, at most 64.
    n: usize,
    /// What to ask the memory for meanwhile, 64 bytes a row: spread like this it holds nobody up.
    ahead: *const u8,
}

impl Rows {
    /// The pieces of `n` bytes that begin `offset` bytes into each row of `bytes`.
    pub(super) fn new(bytes: &[u8], stride: usize, place: Place, offset: usize, n: usize) -> Rows {
        let (start, last) = (place.row * stride + offset, place.n_rows - 1);
        assert!(n <= 64 && start + last * stride + n <= bytes.len());
        Rows { start: bytes[start..].as_ptr(), stride, last, n, ahead: bytes.as_ptr() }
    }

    /// The same, asking meanwhile for the bytes `ahead` from so many lines of 64 on; a place to ask for, not to read.
    pub(super) fn asking(self, ahead: &[u8], n_lines: usize) -> Rows {
        Rows { ahead: ahead.as_ptr().wrapping_add(n_lines * 64), ..self }
    }

    /// The pieces of a strip as lines; where there is no such row, the last one again.
    ///
    /// # Safety
    /// AVX-512 F and BW.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    pub(super) unsafe fn load(self, strip: usize) -> [__m512i; LANES] {
        let mut lines = [_mm512_setzero_si512(); LANES];
        let mask = if self.n == 64 { !0 } else { (1_u64 << self.n) - 1 };
        for (lane, line) in lines.iter_mut().enumerate() {
            let row = (strip * LANES + lane).min(self.last);
            // SAFETY: such a row has a piece of `n` bytes inside the matrix; the mask leaves what is behind it unread.
            *line =
                unsafe { _mm512_maskz_loadu_epi8(mask, self.start.add(row * self.stride).cast()) };
            _mm_prefetch::<_MM_HINT_T1>(self.ahead.wrapping_add(lane * 64).cast());
        }
        lines
    }
}

/// Every word of the rows is two cells.
///
/// # Safety
/// AVX-512 F and BW; `cells` is `[32, WIDE]` or longer.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn bf16_strip(rows: Rows, strip: usize, cells: &mut [f32]) {
    // SAFETY: the caller's promise.
    let words = transposed(unsafe { rows.load(strip) });
    let upper = _mm512_set1_epi32(0xffff_0000_u32 as i32);
    for (word, lines) in words.into_iter().zip(cells.as_chunks_mut::<{ 2 * WIDE }>().0) {
        let pair = [_mm512_slli_epi32::<16>(word), _mm512_and_si512(word, upper)];
        for (bits, line) in pair.into_iter().zip(lines.as_chunks_mut::<WIDE>().0) {
            let out = line.as_chunks_mut::<LANES>().0[strip].as_mut_ptr();
            // SAFETY: 16 floats are there.
            unsafe { _mm512_storeu_ps(out, _mm512_castsi512_ps(bits)) };
        }
    }
}

/// Word `r` of line `k` becomes word `k` of line `r`: in blocks of 4 by 4, then the blocks.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn transposed(lines: [__m512i; LANES]) -> [__m512i; LANES] {
    let mut blocks = [_mm512_setzero_si512(); LANES];
    for at in (0..LANES).step_by(4) {
        let low = [
            _mm512_unpacklo_epi32(lines[at], lines[at + 1]),
            _mm512_unpacklo_epi32(lines[at + 2], lines[at + 3]),
        ];
        let high = [
            _mm512_unpackhi_epi32(lines[at], lines[at + 1]),
            _mm512_unpackhi_epi32(lines[at + 2], lines[at + 3]),
        ];
        blocks[at] = _mm512_unpacklo_epi64(low[0], low[1]);
        blocks[at + 1] = _mm512_unpackhi_epi64(low[0], low[1]);
        blocks[at + 2] = _mm512_unpacklo_epi64(high[0], high[1]);
        blocks[at + 3] = _mm512_unpackhi_epi64(high[0], high[1]);
    }
    let mut out = blocks;
    for at in 0..4 {
        let [a, b, c, d] = [blocks[at], blocks[at + 4], blocks[at + 8], blocks[at + 12]];
        let (ab_low, ab_high) =
            (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xdd>(a, b));
        let (cd_low, cd_high) =
            (_mm512_shuffle_i32x4::<0x88>(c, d), _mm512_shuffle_i32x4::<0xdd>(c, d));
        out[at] = _mm512_shuffle_i32x4::<0x88>(ab_low, cd_low);
        out[at + 4] = _mm512_shuffle_i32x4::<0x88>(ab_high, cd_high);
        out[at + 8] = _mm512_shuffle_i32x4::<0xdd>(ab_low, cd_low);
        out[at + 12] = _mm512_shuffle_i32x4::<0xdd>(ab_high, cd_high);
    }
    out
}

/// As the scalar twin.
pub(crate) fn turn(rows: &[f32], n_k: usize, cells: &mut [f32]) {
    assert!(rows.len() == WIDE * DEEP && cells.len() == WIDE * DEEP && n_k <= DEEP);
    for k in (0..n_k).step_by(LANES) {
        for strip in 0..WIDE / LANES {
            // SAFETY: AVX-512 is present; DEEP is a multiple of 16, so the block lies inside both.
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
/// AVX-512 F; 16 rows `DEEP` apart, 16 lines `WIDE` apart, 16 floats each.
#[target_feature(enable = "avx512f")]
unsafe fn turn_block(rows: &[f32], cells: &mut [f32]) {
    let mut lines = [_mm512_setzero_si512(); LANES];
    for (at, line) in lines.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *line = unsafe { _mm512_loadu_si512(rows.as_ptr().add(at * DEEP).cast()) };
    }
    for (at, line) in transposed(lines).into_iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { _mm512_storeu_si512(cells.as_mut_ptr().add(at * WIDE).cast(), line) };
    }
}
