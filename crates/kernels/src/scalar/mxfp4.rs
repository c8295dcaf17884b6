//! Tiles of MXFP4 unpacked.

use crate::int8::QUAD;
use crate::matrix::GROUP;
use crate::mxfp4::{EIGHT, Unpack, WORD};
use crate::scalar::int8::CODES;
use crate::scalar::unpack::{FP4, scale};
use crate::slab::WIDE;

pub(crate) const UNPACK: Unpack = Unpack { floats, integers, pairs, scales };

/// The eight codes of a word, first to last.
fn codes_of(word: [u8; WORD]) -> [usize; EIGHT] {
    let word = u32::from_le_bytes(word);
    std::array::from_fn(|at| (word >> (4 * at) & 15) as usize)
}

/// Every word with its lane, line by line.
fn words(codes: &[u8]) -> impl Iterator<Item = (usize, usize, [usize; EIGHT])> {
    let words = codes.as_chunks::<WORD>().0.iter().enumerate();
    words.map(|(at, word)| (at / WIDE, at % WIDE, codes_of(*word)))
}

fn floats(codes: &[u8], out: &mut [f32]) {
    for (line, lane, codes) in words(codes) {
        for (at, code) in codes.into_iter().enumerate() {
            out[(line * EIGHT + at) * WIDE + lane] = FP4[code];
        }
    }
}

/// The low halves of a word's bytes are one quad, the high ones the next.
fn integers(codes: &[u8], out: &mut [u8]) {
    for (line, lane, codes) in words(codes) {
        for (at, code) in codes.into_iter().enumerate() {
            let quad = line * 2 + at % 2;
            out[(quad * WIDE + lane) * QUAD + at / 2] = CODES[code];
        }
    }
}

/// A 4-bit value times its power of two is a bfloat16.
pub(crate) fn pairs(codes: &[u8], scales: &[u8], out: &mut [u16]) {
    for (line, lane, codes) in words(codes) {
        let scale = scale(scales[line * EIGHT / GROUP * WIDE + lane]);
        for (at, code) in codes.into_iter().enumerate() {
            let pair = line * EIGHT / 2 + at / 2;
            // Two digits at most, so that the upper half holds them all.
            out[(pair * WIDE + lane) * 2 + at % 2] = ((FP4[code] * scale).to_bits() >> 16) as u16;
        }
    }
}

fn scales(bytes: &[u8], out: &mut [f32]) {
    for (byte, out) in bytes.iter().zip(out) {
        *out = scale(*byte);
    }
}
