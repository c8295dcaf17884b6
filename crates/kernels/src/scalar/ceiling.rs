//! Work to be timed.

/// Operations of one round of [`burn`].
pub(crate) const FLOPS: usize = 2 * 16;

/// Sixteen sums at a time.
pub(crate) fn burn(n_rounds: usize) -> f32 {
    let mut sums = [1.0_f32; 16];
    let factor = std::hint::black_box(0.999_f32);
    for _ in 0..n_rounds {
        for sum in &mut sums {
            *sum = *sum * factor + 0.001;
        }
    }
    sums.iter().sum()
}

/// Reads all bytes.
pub(crate) fn scan(bytes: &[u8]) -> u64 {
    bytes.as_chunks::<8>().0.iter().fold(0, |sum, word| sum ^ u64::from_le_bytes(*word))
}
