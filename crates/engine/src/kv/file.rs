//! The form of a prefix on disk, and nothing about where it lies.
//!
//! ```text
//! magic, 16 bytes   identity, 32 bytes   number of tokens, u64   tokens, u32 each
//! cells of full layers, block by block, as little-endian floats
//! cells of sliding layers of the last blocks, those that positions behind the prefix see, likewise
//! SHA-256 of all before, 32 bytes
//! ```

use std::io::{self, Read, Write};

use model::kv::{BLOCK_LEN, KvCells, KvShape};
use sha2::{Digest, Sha256};

/// The number is the form's: a file of another form is another kind of file.
const MAGIC: &[u8; 16] = b"safeguard kept 2";
/// Bytes that are turned into floats, or back, at once.
const PIECE: usize = 1 << 16;

/// A name for one prefix under one arithmetic, as bytes.
pub(super) type Identity = [u8; 32];

/// Bytes of the file of `tokens`, a whole number of blocks.
pub(super) fn n_bytes(tokens: &[u32], shape: &KvShape) -> u64 {
    let cells_bytes = shape.prefix_bytes(tokens.len() / BLOCK_LEN);
    (MAGIC.len() + 32 + 8 + tokens.len() * 4 + cells_bytes + 32) as u64
}

/// Writes a prefix; `parts` are its cells in the order of the form.
pub(super) fn write<'a>(
    out: &mut impl Write,
    identity: &Identity,
    tokens: &[u32],
    parts: impl Iterator<Item = &'a KvCells>,
) -> io::Result<()> {
    let mut hash = Sha256::new();
    let mut put = |bytes: &[u8]| {
        hash.update(bytes);
        out.write_all(bytes)
    };
    put(&head(identity, tokens))?;
    let mut bytes = vec![0; PIECE];
    for part in parts {
        for cells in part.all().chunks(PIECE / 4) {
            let (words, _) = bytes.as_chunks_mut::<4>();
            for (word, cell) in words.iter_mut().zip(cells) {
                *word = cell.to_le_bytes();
            }
            put(&bytes[..cells.len() * 4])?;
        }
    }
    out.write_all(&hash.finalize())
}

/// Reads a prefix into cells of its own, which come in the order of the form; `false` where the file is something else, or damaged.
///
/// # Errors
/// What the system says, a file that ends too early included.
pub(super) fn read<'a>(
    input: &mut impl Read,
    identity: &Identity,
    tokens: &[u32],
    parts: impl Iterator<Item = &'a mut KvCells>,
) -> io::Result<bool> {
    let expected = head(identity, tokens);
    let mut found = vec![0; expected.len()];
    input.read_exact(&mut found)?;
    if found != expected {
        return Ok(false);
    }
    let mut hash = Sha256::new();
    hash.update(&found);
    let mut bytes = vec![0; PIECE];
    for part in parts {
        for cells in part.all_mut().chunks_mut(PIECE / 4) {
            let bytes = &mut bytes[..cells.len() * 4];
            input.read_exact(bytes)?;
            hash.update(&*bytes);
            for (cell, word) in cells.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *cell = f32::from_le_bytes(*word);
            }
        }
    }
    let mut checksum = [0; 32];
    input.read_exact(&mut checksum)?;
    Ok(checksum[..] == hash.finalize()[..] && input.read(&mut [0])? == 0)
}

fn head(identity: &Identity, tokens: &[u32]) -> Vec<u8> {
    let mut head = MAGIC.to_vec();
    head.extend(identity);
    head.extend((tokens.len() as u64).to_le_bytes());
    head.extend(tokens.iter().flat_map(|token| token.to_le_bytes()));
    head
}
