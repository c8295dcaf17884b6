//! Work to be timed.

use std::arch::x86_64::*;

use crate::ceiling::Burn;

/// Sixteen sums of 16 lanes: more than the products under way at any time.
pub(crate) const BURN: Burn = Burn {
    // SAFETY: this table exists only where the CPU has AVX-512.
    work: |n_rounds| unsafe { burn_lanes(n_rounds) },
    flops: 2 * 16 * 16,
};
/// Sixteen sums of 16 lanes of four products.
pub(crate) const BURN_INT8: Burn = Burn {
    // SAFETY: the table has this only where the CPU has AVX-512 with VNNI.
    work: |n_rounds| unsafe { burn_quads(n_rounds) },
    flops: 2 * 16 * 16 * 4,
};

/// Sixteen sums of 16 lanes of two products.
pub(crate) const BURN_BF16: Burn = Burn {
    // SAFETY: the table has this only where the CPU has AVX-512 with bfloat16.
    work: |n_rounds| unsafe { burn_pairs(n_rounds) },
    flops: 2 * 16 * 16 * 2,
};

/// # Safety
/// AVX-512 F.
#[target_feature(enable = "avx512f")]
unsafe fn burn_lanes(n_rounds: usize) -> f32 {
    let mut sums = [_mm512_set1_ps(1.0); 16];
    let factor = _mm512_set1_ps(std::hint::black_box(0.999));
    let addend = _mm512_set1_ps(0.001);
    for _ in 0..n_rounds {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, factor, addend);
        }
    }
    sums.into_iter().map(|sum| _mm512_reduce_add_ps(sum)).sum()
}

/// # Safety
/// AVX-512 F and VNNI.
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn burn_quads(n_rounds: usize) -> f32 {
    let mut sums = [_mm512_setzero_si512(); 16];
    let factor = _mm512_set1_epi8(std::hint::black_box(3));
    for round in 0..n_rounds {
        let cells = _mm512_set1_epi32(round as i32);
        for sum in &mut sums {
            *sum = _mm512_dpbusd_epi32(*sum, cells, factor);
        }
    }
    let sums = sums.into_iter().map(|sum| _mm512_reduce_add_epi32(sum) as f32);
    sums.sum()
}

/// # Safety
/// AVX-512 F and BF16.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn burn_pairs(n_rounds: usize) -> f32 {
    let mut sums = [_mm512_setzero_ps(); 16];
    let factor = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1.0), _mm512_set1_ps(1.0));
    for round in 0..n_rounds {
        let value = _mm512_set1_ps(round as f32);
        let pairs = _mm512_cvtne2ps_pbh(value, value);
        for sum in &mut sums {
            *sum = _mm512_dpbf16_ps(*sum, pairs, factor);
        }
    }
    sums.into_iter().map(|sum| _mm512_reduce_add_ps(sum)).sum()
}

/// Reads all bytes, a whole number of 1,024.
pub(crate) fn scan(bytes: &[u8]) -> u64 {
    assert!(bytes.len().is_multiple_of(1024));
    // SAFETY: this table exists only where the CPU has AVX-512; the length was just checked.
    unsafe { scan_lanes(bytes) }
}

/// Four places at once: one alone does not keep the memory busy.
///
/// # Safety
/// AVX-512 F; a length that is a multiple of 1,024.
#[target_feature(enable = "avx512f")]
unsafe fn scan_lanes(bytes: &[u8]) -> u64 {
    let quarter = bytes.len() / 4;
    let mut sums = [_mm512_setzero_si512(); 4];
    for at in (0..quarter).step_by(64) {
        for (stream, sum) in sums.iter_mut().enumerate() {
            // SAFETY: at + 64 <= quarter, which is a multiple of 64.
            let cells =
                unsafe { _mm512_loadu_si512(bytes.as_ptr().add(stream * quarter + at).cast()) };
            *sum = _mm512_xor_si512(*sum, cells);
        }
    }
    sums.into_iter().map(|sum| _mm512_reduce_add_epi64(sum) as u64).fold(0, |a, b| a ^ b)
}
