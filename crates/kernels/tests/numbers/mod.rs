//! What the tests of kernels share: every table of this CPU, and numbers from a seed.
#![allow(dead_code, reason = "each test file uses its own part")]

use kernels::{Isa, Kernels, Matrix, Pool, StoredMxfp4};

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

/// What a checkpoint stores of an MXFP4 matrix in the tiles that products want.
pub(crate) fn tiled(blocks: &[u8], scales: &[u8], n_out: usize, n_in: usize) -> Vec<u8> {
    let stored = StoredMxfp4::new(blocks, scales, n_out, n_in).expect("the shape fits");
    let mut out = vec![0; Matrix::mxfp4_len(n_out, n_in).expect("it is small")];
    Kernels::detect().tile_mxfp4(&Pool::new(1), stored, &mut out);
    out
}

/// A matrix in 8-bit integers, made by one table.
pub(crate) fn eights(kernels: &Kernels, w: &Matrix<'_>) -> Vec<u8> {
    let mut out = vec![0; Matrix::int8_len(w.n_out(), w.n_in()).expect("it is small")];
    kernels.to_int8(&Pool::new(2), w, &mut out);
    out
}
