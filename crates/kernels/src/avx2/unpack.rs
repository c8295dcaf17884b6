//! Stored formats into `f32`, exactly, 8 at a time.

use std::arch::x86_64::*;

use crate::matrix::{GROUP, GROUP_BYTES};
use crate::scalar;

pub(crate) fn mxfp4(blocks: &[u8], scales: &[u8], out: &mut [f32]) {
    assert!(blocks.len() == scales.len() * GROUP_BYTES && out.len() == scales.len() * GROUP);
    // SAFETY: this table exists only where the CPU has AVX2; the lengths were just checked.
    unsafe { mxfp4_groups(blocks, scales, out) }
}

/// # Safety
/// AVX2, and lengths as asserted by [`mxfp4`].
#[target_feature(enable = "avx2")]
unsafe fn mxfp4_groups(blocks: &[u8], scales: &[u8], out: &mut [f32]) {
    // Twice the values are small integers, which a byte shuffle can look up.
    let doubled = _mm_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
    let low_half = _mm_set1_epi8(15);
    for (group, &byte) in scales.iter().enumerate() {
        let half_scale = _mm256_set1_ps(scalar::unpack::scale(byte) * 0.5);
        // SAFETY: group < scales.len(), and blocks holds 16 bytes for each.
        let packed = unsafe { _mm_loadu_si128(blocks.as_ptr().add(group * GROUP_BYTES).cast()) };
        let low = _mm_shuffle_epi8(doubled, _mm_and_si128(packed, low_half));
        let high = _mm_shuffle_epi8(doubled, _mm_and_si128(_mm_srli_epi16::<4>(packed), low_half));
        let halves = [_mm_unpacklo_epi8(low, high), _mm_unpackhi_epi8(low, high)];
        for (at, bytes) in halves.into_iter().enumerate() {
            for (part, eight) in [bytes, _mm_srli_si128::<8>(bytes)].into_iter().enumerate() {
                let values = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight));
                // SAFETY: out holds 32 floats for each group.
                let target = unsafe { out.as_mut_ptr().add(group * GROUP + at * 16 + part * 8) };
                // SAFETY: as above.
                unsafe { _mm256_storeu_ps(target, _mm256_mul_ps(values, half_scale)) };
            }
        }
    }
}

pub(crate) fn bf16(bytes: &[u8], out: &mut [f32]) {
    assert_eq!(bytes.len(), out.len() * 2);
    let whole = out.len() / 8 * 8;
    // SAFETY: AVX2 is present; `whole` cells fit both slices.
    unsafe { bf16_eights(bytes, &mut out[..whole]) };
    scalar::unpack::bf16(&bytes[whole * 2..], &mut out[whole..]);
}

/// # Safety
/// AVX2; `out.len()` is a multiple of 8 and `bytes` has two for each.
#[target_feature(enable = "avx2")]
unsafe fn bf16_eights(bytes: &[u8], out: &mut [f32]) {
    for at in (0..out.len()).step_by(8) {
        // SAFETY: at + 8 <= out.len().
        let cells = unsafe { _mm_loadu_si128(bytes.as_ptr().add(at * 2).cast()) };
        let bits = _mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(cells));
        // SAFETY: as above.
        unsafe { _mm256_storeu_ps(out.as_mut_ptr().add(at), _mm256_castsi256_ps(bits)) };
    }
}

pub(crate) fn f16(bytes: &[u8], out: &mut [f32]) {
    assert_eq!(bytes.len(), out.len() * 2);
    let whole = out.len() / 8 * 8;
    // SAFETY: AVX2 and F16C are present; `whole` cells fit both slices.
    unsafe { f16_eights(bytes, &mut out[..whole]) };
    scalar::unpack::f16(&bytes[whole * 2..], &mut out[whole..]);
}

/// # Safety
/// AVX2 and F16C; `out.len()` is a multiple of 8 and `bytes` has two for each.
#[target_feature(enable = "avx2,f16c")]
unsafe fn f16_eights(bytes: &[u8], out: &mut [f32]) {
    for at in (0..out.len()).step_by(8) {
        // SAFETY: at + 8 <= out.len().
        let cells = unsafe { _mm_loadu_si128(bytes.as_ptr().add(at * 2).cast()) };
        // SAFETY: as above.
        unsafe { _mm256_storeu_ps(out.as_mut_ptr().add(at), _mm256_cvtph_ps(cells)) };
    }
}
