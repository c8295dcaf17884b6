//! Work to be timed.

use std::arch::x86_64::*;

use crate::ceiling::Burn;

/// Twelve sums of 8 lanes: more than the products under way at any time.
pub(crate) const BURN: Burn = Burn {
    // SAFETY: this table exists only where the CPU has AVX2 and FMA.
    work: |n_rounds| unsafe { burn_lanes(n_rounds) },
    flops: 2 * 8 * 12,
};
/// Eight sums of 8 lanes of four products.
pub(crate) const BURN_INT8: Burn = Burn {
    // SAFETY: as above.
    work: |n_rounds| unsafe { burn_quads(n_rounds) },
    flops: 2 * 8 * 8 * 4,
};

/// # Safety
/// AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
unsafe fn burn_lanes(n_rounds: usize) -> f32 {
    let mut sums = [_mm256_set1_ps(1.0); 12];
    let factor = _mm256_set1_ps(std::hint::black_box(0.999));
    let addend = _mm256_set1_ps(0.001);
    for _ in 0..n_rounds {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(*sum, factor, addend);
        }
    }
    let mut lanes = [0.0; 8];
    let sum = sums.into_iter().fold(_mm256_setzero_ps(), |a, b| _mm256_add_ps(a, b));
    // SAFETY: eight floats fit.
    unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), sum) };
    lanes.iter().sum()
}

/// # Safety
/// AVX2.
#[target_feature(enable = "avx2")]
unsafe fn burn_quads(n_rounds: usize) -> f32 {
    let mut sums = [_mm256_setzero_si256(); 8];
    let factor = _mm256_set1_epi8(std::hint::black_box(3));
    let ones = _mm256_set1_epi16(1);
    for round in 0..n_rounds {
        let cells = _mm256_set1_epi8(round as i8 & 63);
        for sum in &mut sums {
            let pairs = _mm256_maddubs_epi16(_mm256_xor_si256(cells, *sum), factor);
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
        }
    }
    let sum = sums.into_iter().fold(_mm256_setzero_si256(), |a, b| _mm256_add_epi32(a, b));
    let mut lanes = [0_i32; 8];
    // SAFETY: eight integers fit.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), sum) };
    lanes.iter().map(|&lane| lane as f32).sum()
}

/// Reads all bytes, a whole number of 1,024.
pub(crate) fn scan(bytes: &[u8]) -> u64 {
    assert!(bytes.len().is_multiple_of(1024));
    // SAFETY: this table exists only where the CPU has AVX2; the length was just checked.
    unsafe { scan_lanes(bytes) }
}

/// Four places at once: one alone does not keep the memory busy.
///
/// # Safety
/// AVX2 and FMA; a length that is a multiple of 1,024.
#[target_feature(enable = "avx2,fma")]
unsafe fn scan_lanes(bytes: &[u8]) -> u64 {
    let quarter = bytes.len() / 4;
    let mut sums = [_mm256_setzero_si256(); 4];
    for at in (0..quarter).step_by(32) {
        for (stream, sum) in sums.iter_mut().enumerate() {
            // SAFETY: at + 32 <= quarter, which is a multiple of 32.
            let cells =
                unsafe { _mm256_loadu_si256(bytes.as_ptr().add(stream * quarter + at).cast()) };
            *sum = _mm256_xor_si256(*sum, cells);
        }
    }
    let sum = sums.into_iter().fold(_mm256_setzero_si256(), |a, b| _mm256_xor_si256(a, b));
    let mut lanes = [0_u64; 4];
    // SAFETY: four words fit.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), sum) };
    lanes.iter().fold(0, |a, b| a ^ b)
}
