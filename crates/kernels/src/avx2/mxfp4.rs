//! Tiles of MXFP4 unpacked, 8 outputs a vector.

use std::arch::x86_64::*;

use crate::int8::QUAD;
use crate::matrix::GROUP;
use crate::mxfp4::{EIGHT, Unpack, WORD};
use crate::scalar;
use crate::slab::WIDE;

pub(crate) const UNPACK: Unpack = Unpack { floats, integers, pairs, scales };

/// Outputs of a vector.
const LANES: usize = 8;
/// Bytes of the words of a line.
const LINE: usize = WIDE * WORD;

fn floats(codes: &[u8], out: &mut [f32]) {
    assert!(codes.len().is_multiple_of(LINE) && out.len() == codes.len() * 2);
    // SAFETY: this table exists only where the CPU has AVX2; every line of words has eight of floats.
    unsafe { floats_of_lines(codes, out) }
}

/// # Safety
/// AVX2; lengths as asserted by [`floats`].
#[target_feature(enable = "avx2")]
unsafe fn floats_of_lines(codes: &[u8], out: &mut [f32]) {
    for (words, lines) in codes.chunks_exact(LINE).zip(out.chunks_exact_mut(EIGHT * WIDE)) {
        for at in 0..WIDE / LANES {
            // SAFETY: a line has 32 words.
            let mut word = unsafe { _mm256_loadu_si256(words.as_ptr().cast::<__m256i>().add(at)) };
            for line in lines.chunks_exact_mut(WIDE) {
                // SAFETY: a line has 32 floats.
                unsafe { _mm256_storeu_ps(line.as_mut_ptr().add(at * LANES), values(word)) };
                word = _mm256_srli_epi32::<4>(word);
            }
        }
    }
}

/// The values of the lowest code of every word: three bits choose the magnitude, the fourth is the sign.
#[target_feature(enable = "avx2")]
#[inline]
fn values(words: __m256i) -> __m256 {
    let magnitudes = _mm256_setr_ps(0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0);
    let sign = _mm256_slli_epi32::<28>(_mm256_and_si256(words, _mm256_set1_epi32(8)));
    _mm256_xor_ps(_mm256_permutevar8x32_ps(magnitudes, words), _mm256_castsi256_ps(sign))
}

fn integers(codes: &[u8], out: &mut [u8]) {
    assert!(codes.len().is_multiple_of(LINE) && out.len() == codes.len() * 2);
    // SAFETY: AVX2 is present; every line of words has two of quads.
    unsafe { integers_of_lines(codes, out) }
}

/// # Safety
/// AVX2; lengths as asserted by [`integers`].
#[target_feature(enable = "avx2")]
unsafe fn integers_of_lines(codes: &[u8], out: &mut [u8]) {
    // SAFETY: the table has 16 bytes.
    let values = unsafe { _mm_loadu_si128(scalar::int8::CODES.as_ptr().cast()) };
    let values = _mm256_broadcastsi128_si256(values);
    let low_half = _mm256_set1_epi8(15);
    for (words, lines) in codes.chunks_exact(LINE).zip(out.chunks_exact_mut(2 * WIDE * QUAD)) {
        for at in 0..WIDE / LANES {
            // SAFETY: a line has 32 words.
            let word = unsafe { _mm256_loadu_si256(words.as_ptr().cast::<__m256i>().add(at)) };
            for (half, codes) in [word, _mm256_srli_epi16::<4>(word)].into_iter().enumerate() {
                let found = _mm256_shuffle_epi8(values, _mm256_and_si256(codes, low_half));
                let line = lines[half * WIDE * QUAD..].as_mut_ptr().cast::<__m256i>();
                // SAFETY: a line has 32 quads.
                unsafe { _mm256_storeu_si256(line.add(at), found) };
            }
        }
    }
}

fn pairs(codes: &[u8], scales: &[u8], out: &mut [u16]) {
    assert!(codes.len().is_multiple_of(GROUP / EIGHT * LINE) && out.len() == codes.len() * 2);
    assert!(scales.len() * GROUP / 2 == codes.len());
    // SAFETY: AVX2 is present; every group has four lines of words, one of scales, and sixteen of pairs.
    unsafe { pairs_of_groups(codes, scales, out) }
}

/// # Safety
/// AVX2; lengths as asserted by [`pairs`].
#[target_feature(enable = "avx2")]
unsafe fn pairs_of_groups(codes: &[u8], bytes: &[u8], out: &mut [u16]) {
    let upper = _mm256_set1_epi32(0xffff_0000_u32 as i32);
    let mut own = [0.0; WIDE];
    let groups = codes.chunks_exact(GROUP / EIGHT * LINE).zip(bytes.chunks_exact(WIDE));
    for ((codes, bytes), out) in groups.zip(out.chunks_exact_mut(GROUP * WIDE)) {
        scales(bytes, &mut own);
        for (words, lines) in codes.chunks_exact(LINE).zip(out.chunks_exact_mut(EIGHT * WIDE)) {
            for at in 0..WIDE / LANES {
                // SAFETY: a line has 32 words, and there are 32 scales.
                let (mut word, scale) = unsafe {
                    (
                        _mm256_loadu_si256(words.as_ptr().cast::<__m256i>().add(at)),
                        _mm256_loadu_ps(own.as_ptr().add(at * LANES)),
                    )
                };
                for line in lines.chunks_exact_mut(2 * WIDE) {
                    let second = _mm256_srli_epi32::<4>(word);
                    let scaled = |word| _mm256_castps_si256(_mm256_mul_ps(values(word), scale));
                    let (even, odd) = (scaled(word), scaled(second));
                    let pair = _mm256_or_si256(
                        _mm256_srli_epi32::<16>(even),
                        _mm256_and_si256(odd, upper),
                    );
                    // SAFETY: a line has 32 pairs.
                    unsafe {
                        _mm256_storeu_si256(line.as_mut_ptr().cast::<__m256i>().add(at), pair);
                    }
                    word = _mm256_srli_epi32::<8>(word);
                }
            }
        }
    }
}

fn scales(bytes: &[u8], out: &mut [f32]) {
    assert!(bytes.len().is_multiple_of(LANES) && out.len() == bytes.len());
    // SAFETY: AVX2 is present; both are whole vectors.
    unsafe { scales_of_eights(bytes, out) }
}

/// # Safety
/// AVX2; lengths as asserted by [`scales`].
#[target_feature(enable = "avx2")]
unsafe fn scales_of_eights(bytes: &[u8], out: &mut [f32]) {
    let smallest = _mm256_set1_epi32(scalar::unpack::scale(0).to_bits() as i32);
    for (bytes, out) in bytes.chunks_exact(LANES).zip(out.chunks_exact_mut(LANES)) {
        // SAFETY: there are eight bytes.
        let exponents =
            _mm256_cvtepu8_epi32(unsafe { _mm_loadl_epi64(bytes.as_ptr().cast::<__m128i>()) });
        let is_zero = _mm256_cmpeq_epi32(exponents, _mm256_setzero_si256());
        let bits = _mm256_or_si256(
            _mm256_slli_epi32::<23>(exponents),
            _mm256_and_si256(is_zero, smallest),
        );
        // SAFETY: eight floats are there.
        unsafe { _mm256_storeu_ps(out.as_mut_ptr(), _mm256_castsi256_ps(bits)) };
    }
}
