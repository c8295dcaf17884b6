//! Work to be timed.

use crate::ceiling::Burn;

/// Sixteen sums at a time.
pub(crate) const BURN: Burn = Burn { work: burn, flops: 2 * 16 };
/// Sixteen sums of four products at a time.
pub(crate) const BURN_INT8: Burn = Burn { work: burn_int8, flops: 2 * 16 * 4 };

fn burn(n_rounds: usize) -> f32 {
    let mut sums = [1.0_f32; 16];
    let factor = std::hint::black_box(0.999_f32);
    for _ in 0..n_rounds {
        for sum in &mut sums {
            *sum = *sum * factor + 0.001;
        }
    }
    sums.iter().sum()
}

fn burn_int8(n_rounds: usize) -> f32 {
    let mut sums = [0_i32; 16];
    let mut cells = std::hint::black_box([[1_i8, 2, 3, 4]; 16]);
    for round in 0..n_rounds {
        for (sum, four) in sums.iter_mut().zip(&mut cells) {
            four[0] = round as i8;
            *sum = four
                .iter()
                .fold(*sum, |sum, &cell| sum.wrapping_add(i32::from(cell) * i32::from(cell)));
        }
    }
    sums.iter().map(|&sum| sum as f32).sum()
}

/// Reads all bytes.
pub(crate) fn scan(bytes: &[u8]) -> u64 {
    bytes.as_chunks::<8>().0.iter().fold(0, |sum, word| sum ^ u64::from_le_bytes(*word))
}
