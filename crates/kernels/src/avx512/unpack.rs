//! Stored formats into `f32`, exactly, 16 at a time.

use std::arch::x86_64::*;

use crate::scalar;

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
