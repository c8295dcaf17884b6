//! Stored formats into `f32`, exactly, 16 at a time.

use std::arch::x86_64::*;

use crate::matrix::{GROUP, GROUP_BYTES};
use crate::scalar;

pub(crate) fn mxfp4(blocks: &[u8], scales: &[u8], out: &mut [f32]) {
    assert!(blocks.len() == scales.len() * GROUP_BYTES && out.len() == scales.len() * GROUP);
    // SAFETY: this table exists only where the CPU has AVX-512; the lengths were just checked.
    unsafe { mxfp4_groups(blocks, scales, out) }
}

/// # Safety
/// AVX-512 F and AVX2, and lengths as asserted by [`mxfp4`].
#[target_feature(enable = "avx512f,avx2")]
unsafe fn mxfp4_groups(blocks: &[u8], scales: &[u8], out: &mut [f32]) {
    // SAFETY: the table has 16 floats.
    let values = unsafe { _mm512_loadu_ps(scalar::unpack::FP4.as_ptr()) };
    let low_half = _mm_set1_epi8(15);
    for (group, &byte) in scales.iter().enumerate() {
        let scale = _mm512_set1_ps(scalar::unpack::scale(byte));
        // SAFETY: group < scales.len(), and blocks holds 16 bytes for each.
        let packed = unsafe { _mm_loadu_si128(blocks.as_ptr().add(group * GROUP_BYTES).cast()) };
        let low = _mm_and_si128(packed, low_half);
        let high = _mm_and_si128(_mm_srli_epi16::<4>(packed), low_half);
        let halves = [_mm_unpacklo_epi8(low, high), _mm_unpackhi_epi8(low, high)];
        for (at, codes) in halves.into_iter().enumerate() {
            let found = _mm512_permutexvar_ps(_mm512_cvtepu8_epi32(codes), values);
            // SAFETY: out holds 32 floats for each group.
            unsafe {
                _mm512_storeu_ps(
                    out.as_mut_ptr().add(group * GROUP + at * 16),
                    _mm512_mul_ps(found, scale),
                )
            };
        }
    }
}

pub(crate) fn bf16(bytes: &[u8], out: &mut [f32]) {
    assert_eq!(bytes.len(), out.len() * 2);
    let whole = out.len() / 16 * 16;
    // SAFETY: AVX-512 is present; `whole` cells fit both slices.
    unsafe { bf16_sixteens(bytes, &mut out[..whole]) };
    scalar::unpack::bf16(&bytes[whole * 2..], &mut out[whole..]);
}

/// # Safety
/// AVX-512 F; `out.len()` is a multiple of 16 and `bytes` has two for each.
#[target_feature(enable = "avx512f,avx2")]
unsafe fn bf16_sixteens(bytes: &[u8], out: &mut [f32]) {
    for at in (0..out.len()).step_by(16) {
        // SAFETY: at + 16 <= out.len().
        let cells = unsafe { _mm256_loadu_si256(bytes.as_ptr().add(at * 2).cast()) };
        let bits = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(cells));
        // SAFETY: as above.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr().add(at), _mm512_castsi512_ps(bits)) };
    }
}

pub(crate) fn f16(bytes: &[u8], out: &mut [f32]) {
    assert_eq!(bytes.len(), out.len() * 2);
    let whole = out.len() / 16 * 16;
    // SAFETY: AVX-512 is present; `whole` cells fit both slices.
    unsafe { f16_sixteens(bytes, &mut out[..whole]) };
    scalar::unpack::f16(&bytes[whole * 2..], &mut out[whole..]);
}

/// # Safety
/// AVX-512 F; `out.len()` is a multiple of 16 and `bytes` has two for each.
#[target_feature(enable = "avx512f,avx2")]
unsafe fn f16_sixteens(bytes: &[u8], out: &mut [f32]) {
    for at in (0..out.len()).step_by(16) {
        // SAFETY: at + 16 <= out.len().
        let cells = unsafe { _mm256_loadu_si256(bytes.as_ptr().add(at * 2).cast()) };
        // SAFETY: as above.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr().add(at), _mm512_cvtph_ps(cells)) };
    }
}
