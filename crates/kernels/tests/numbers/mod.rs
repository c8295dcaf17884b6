//! What the tests of kernels share: every table of this CPU, and numbers from a seed.
#![allow(dead_code, reason = "each test file uses its own part")]

use kernels::{Isa, Kernels};

pub(crate) fn tables() -> impl Iterator<Item = Kernels> {
    Isa::ALL.into_iter().filter_map(Kernels::with_isa)
}

pub(crate) fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|value| value.to_bits()).collect()
}

/// Values in -4..4 from a seed (xorshift): proptest shrinks the seed, not thousands of floats.
pub(crate) fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed | 1;
    (0..n).map(|_| next(&mut state) as f32 / u32::MAX as f32 * 8.0 - 4.0).collect()
}

pub(crate) fn bytes(n: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    (0..n).map(|_| (next(&mut state) >> 11) as u8).collect()
}

fn next(state: &mut u64) -> u32 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 16) as u32
}
