//! Stored formats into `f32`, exactly, 8 at a time.

use std::arch::x86_64::*;

use crate::scalar;

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
