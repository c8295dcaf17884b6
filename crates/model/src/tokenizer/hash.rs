//! Hashing for the tables of a vocabulary. The tables are fixed once they are made, so text cannot make
//! them slow, and the hash need not be secret.

use std::hash::{BuildHasherDefault, Hasher};

/// Odd, with well-mixed bits: 2⁶⁴ divided by the golden ratio.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

pub(super) fn of_bytes(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let word = chunk.try_into().expect("chunks of eight");
        hash = mix(hash ^ u64::from_le_bytes(word));
    }
    let mut last = [0; 8];
    last[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    mix(hash ^ u64::from_le_bytes(last))
}

fn mix(value: u64) -> u64 {
    let product = u128::from(value) * u128::from(FACTOR);
    (product >> 64) as u64 ^ product as u64
}

/// Hashes pairs of token ids.
#[derive(Clone, Copy, Default)]
pub(super) struct PairHasher(u64);

/// Makes [`PairHasher`]s.
pub(super) type BuildPairHasher = BuildHasherDefault<PairHasher>;

impl Hasher for PairHasher {
    fn finish(&self) -> u64 {
        mix(self.0)
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = self.0.rotate_left(32) ^ of_bytes(bytes);
    }

    fn write_u32(&mut self, token: u32) {
        self.0 = self.0.rotate_left(32) ^ u64::from(token);
    }
}
