//! An encoder that remembers what it has computed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::encoder::{Encoder, Windows};
use crate::error::CascadeError;

/// Bytes that an entry takes beside its numbers.
const ENTRY_BYTES: usize = 128;

/// Another encoder with a memory of bounded size, by the digests of texts. When it is full it is emptied.
pub struct Cached<E> {
    encoder: E,
    max_bytes: usize,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    windows: HashMap<[u8; 32], Windows>,
    n_bytes: usize,
}

impl<E: Encoder> Cached<E> {
    /// Remembers about `max_bytes` of vectors.
    pub fn new(encoder: E, max_bytes: usize) -> Cached<E> {
        Cached { encoder, max_bytes, known: Mutex::default() }
    }

    /// The encoder behind the memory.
    pub fn inner(&self) -> &E {
        &self.encoder
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn remember(&mut self, key: [u8; 32], windows: &Windows, max_bytes: usize) {
        let n_numbers: usize = windows.iter().map(Vec::len).sum();
        let n_bytes = ENTRY_BYTES + 4 * n_numbers;
        if n_bytes > max_bytes {
            return;
        }
        if self.n_bytes + n_bytes > max_bytes {
            *self = Known::default();
        }
        if self.windows.insert(key, windows.clone()).is_none() {
            self.n_bytes += n_bytes;
        }
    }
}

impl<E: Encoder> Encoder for Cached<E> {
    fn identity(&self) -> &str {
        self.encoder.identity()
    }

    fn n_dims(&self) -> usize {
        self.encoder.n_dims()
    }

    fn encode(&self, texts: &[&str]) -> Result<Vec<Windows>, CascadeError> {
        let keys: Vec<[u8; 32]> = texts.iter().map(|text| Sha256::digest(text).into()).collect();
        let mut found: Vec<Option<Windows>> = {
            let known = self.known();
            keys.iter().map(|key| known.windows.get(key).cloned()).collect()
        };
        let missing: Vec<usize> = (0..texts.len()).filter(|&at| found[at].is_none()).collect();
        let asked: Vec<&str> = missing.iter().map(|&at| texts[at]).collect();
        if !asked.is_empty() {
            let computed = self.encoder.encode(&asked)?;
            let mut known = self.known();
            for (at, windows) in missing.into_iter().zip(computed) {
                known.remember(keys[at], &windows, self.max_bytes);
                found[at] = Some(windows);
            }
        }
        Ok(found.into_iter().map(Option::unwrap_or_default).collect())
    }
}
