//! Tiles of MXFP4 unpacked, 16 outputs a vector.

use std::arch::x86_64::*;
use std::ops::RangeInclusive;

use super::slab::LANES;
use crate::int8::QUAD;
use crate::matrix::GROUP;
use crate::mxfp4::{AHEAD, EIGHT, Unpack, WORD};
use crate::scalar;
use crate::slab::WIDE;

pub(crate) const UNPACK: Unpack = Unpack { floats, integers, pairs, scales };

/// Bytes of the words of a line.
const LINE: usize = WIDE * WORD;

fn floats(codes: &[u8], out: &mut [f32]) {
    assert!(codes.len().is_multiple_of(LINE) && out.len() == codes.len() * 2);
    // SAFETY: this table exists only where the CPU has AVX-512; every line of words has eight of floats.
    unsafe { floats_of_lines(codes, out) }
}

/// A word is shifted, and its low four bits choose the value.
///
/// # Safety
/// AVX-512 F; lengths as asserted by [`floats`].
#[target_feature(enable = "avx512f")]
unsafe fn floats_of_lines(codes: &[u8], out: &mut [f32]) {
    // SAFETY: the table has 16 floats.
    let values = unsafe { _mm512_loadu_ps(scalar::unpack::FP4.as_ptr()) };
    for (words, lines) in codes.chunks_exact(LINE).zip(out.chunks_exact_mut(EIGHT * WIDE)) {
        // SAFETY: a line has 32 words.
        let mut words = unsafe { pair_of_vectors(words) };
        for line in lines.chunks_exact_mut(WIDE) {
            for (at, word) in words.iter_mut().enumerate() {
                // SAFETY: a line has 32 floats.
                unsafe {
                    _mm512_storeu_ps(
                        line.as_mut_ptr().add(at * LANES),
                        _mm512_permutexvar_ps(*word, values),
                    );
                }
                *word = _mm512_srli_epi32::<4>(*word);
            }
        }
    }
}

/// The words of a line; memory is asked for those that come later.
///
/// # Safety
/// AVX-512 F; 128 bytes.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn pair_of_vectors(bytes: &[u8]) -> [__m512i; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        let start = bytes.as_ptr().cast::<__m512i>();
        let ahead = start.cast::<i8>().wrapping_add(AHEAD);
        _mm_prefetch::<_MM_HINT_T1>(ahead);
        _mm_prefetch::<_MM_HINT_T1>(ahead.wrapping_add(64));
        [_mm512_loadu_si512(start), _mm512_loadu_si512(start.add(1))]
    }
}

fn integers(codes: &[u8], out: &mut [u8]) {
    assert!(codes.len().is_multiple_of(LINE) && out.len() == codes.len() * 2);
    // SAFETY: AVX-512 is present; every line of words has two of quads.
    unsafe { integers_of_lines(codes, out) }
}

/// # Safety
/// AVX-512 F and BW; lengths as asserted by [`integers`].
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn integers_of_lines(codes: &[u8], out: &mut [u8]) {
    // SAFETY: the table has 16 bytes.
    let values =
        _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(scalar::int8::CODES.as_ptr().cast()) });
    let low_half = _mm512_set1_epi8(15);
    for (words, lines) in codes.chunks_exact(LINE).zip(out.chunks_exact_mut(2 * WIDE * QUAD)) {
        // SAFETY: a line has 32 words.
        let mut words = unsafe { pair_of_vectors(words) };
        for line in lines.chunks_exact_mut(WIDE * QUAD) {
            for (at, word) in words.iter_mut().enumerate() {
                let found = _mm512_shuffle_epi8(values, _mm512_and_si512(*word, low_half));
                // SAFETY: a line has 32 quads.
                unsafe { _mm512_storeu_si512(line.as_mut_ptr().cast::<__m512i>().add(at), found) };
                *word = _mm512_srli_epi16::<4>(*word);
            }
        }
    }
}

/// Scale bytes up to that of 1 with which all values stay normal numbers. Weights hardly ever have others.
const USUAL: RangeInclusive<u8> = 2..=127;

fn pairs(codes: &[u8], scales: &[u8], out: &mut [u16]) {
    assert!(codes.len().is_multiple_of(GROUP / EIGHT * LINE) && out.len() == codes.len() * 2);
    assert!(scales.len() * GROUP / 2 == codes.len());
    let groups = codes.chunks_exact(GROUP / EIGHT * LINE).zip(scales.chunks_exact(WIDE));
    for ((codes, scales), out) in groups.zip(out.chunks_exact_mut(GROUP * WIDE)) {
        // SAFETY: AVX-512 is present; a group has four lines of words, one of scales, and sixteen of pairs.
        match unsafe { exponents(scales) } {
            // SAFETY: as above.
            Some(taken) => unsafe { pairs_of_group(codes, taken, out) },
            None => scalar::mxfp4::pairs(codes, scales, out),
        }
    }
}

/// What a group's scales take from a bfloat16, the same in both halves of a word: the exponent of one over the scale.
/// `None` where a scale is not [`USUAL`].
///
/// # Safety
/// AVX-512 F; 32 bytes.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn exponents(scales: &[u8]) -> Option<[__m512i; 2]> {
    let start = scales.as_ptr().cast::<__m128i>();
    let one = _mm512_set1_epi32(i32::from(*USUAL.end()));
    let most = _mm512_set1_epi32(i32::from(USUAL.end() - USUAL.start()));
    let mut taken = [one; 2];
    for (at, taken) in taken.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        let bytes = _mm512_cvtepu8_epi32(unsafe { _mm_loadu_si128(start.add(at)) });
        let below = _mm512_sub_epi32(one, bytes);
        if _mm512_cmpgt_epu32_mask(below, most) != 0 {
            return None;
        }
        let lower = _mm512_slli_epi32::<7>(below);
        *taken = _mm512_or_si512(lower, _mm512_slli_epi32::<16>(lower));
    }
    Some(taken)
}

/// The 16 values of a 4-bit float in bfloat16, twice: what chooses among 32 looks at five bits. Either zero is a plain
/// one, from which nothing can be taken.
const FP4: [u16; 32] = {
    let mut cells = [0; 32];
    let mut at = 0;
    while at < 32 {
        if at % 8 != 0 {
            cells[at] = (scalar::unpack::FP4[at % 16].to_bits() >> 16) as u16;
        }
        at += 1;
    }
    cells
};

/// Every byte of a word is a pair.
///
/// # Safety
/// AVX-512 F and BW; four lines of words, sixteen of pairs.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn pairs_of_group(codes: &[u8], taken: [__m512i; 2], out: &mut [u16]) {
    // SAFETY: the table has 32 cells.
    let values = unsafe { _mm512_loadu_si512(FP4.as_ptr().cast()) };
    // The lower half of a word in both halves, and the upper.
    let lower = _mm512_set1_epi32(0x0100_0100);
    let upper = _mm512_set1_epi32(0x0302_0302);
    let within = _mm512_broadcast_i32x4(_mm_set_epi32(0x0c0c_0c0c, 0x0808_0808, 0x0404_0404, 0));
    let halves = [_mm512_add_epi8(within, lower), _mm512_add_epi8(within, upper)];
    let shifts = [_mm512_set1_epi32(4 << 16), _mm512_set1_epi32(12 << 16 | 8)];
    for (words, lines) in codes.chunks_exact(LINE).zip(out.chunks_exact_mut(EIGHT * WIDE)) {
        // SAFETY: a line has 32 words.
        let words = unsafe { pair_of_vectors(words) };
        for (at, &word) in words.iter().enumerate() {
            for (pair, line) in lines.chunks_exact_mut(2 * WIDE).enumerate() {
                let half = _mm512_shuffle_epi8(word, halves[pair / 2]);
                let codes = _mm512_srlv_epi16(half, shifts[pair % 2]);
                let found = _mm512_permutexvar_epi16(codes, values);
                let scaled = _mm512_subs_epu16(found, taken[at]);
                // SAFETY: a line has 32 pairs.
                unsafe {
                    _mm512_storeu_si512(line.as_mut_ptr().cast::<__m512i>().add(at), scaled);
                }
            }
        }
    }
}

fn scales(bytes: &[u8], out: &mut [f32]) {
    assert!(bytes.len().is_multiple_of(LANES) && out.len() == bytes.len());
    // SAFETY: AVX-512 is present; both are whole vectors.
    unsafe { scales_of_sixteens(bytes, out) }
}

/// # Safety
/// AVX-512 F; lengths as asserted by [`scales`].
#[target_feature(enable = "avx512f")]
unsafe fn scales_of_sixteens(bytes: &[u8], out: &mut [f32]) {
    for (bytes, out) in bytes.chunks_exact(LANES).zip(out.chunks_exact_mut(LANES)) {
        // SAFETY: there are 16 bytes, and as many floats.
        unsafe {
            let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
            _mm512_storeu_ps(out.as_mut_ptr(), scale(bytes));
        }
    }
}

/// Sixteen scale bytes as floats.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn scale(bytes: __m128i) -> __m512 {
    let smallest = _mm512_set1_epi32(scalar::unpack::scale(0).to_bits() as i32);
    let exponents = _mm512_slli_epi32::<23>(_mm512_cvtepu8_epi32(bytes));
    _mm512_castsi512_ps(_mm512_max_epi32(exponents, smallest))
}
