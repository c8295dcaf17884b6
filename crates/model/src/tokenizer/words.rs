//! The bytes of all tokens, and the token of given bytes: a table that is made in a few milliseconds,
//! since every start of the program makes it.

use super::hash;

/// The bytes of tokens by id. A token without bytes stands for no text.
pub(super) struct Words {
    bytes: Vec<u8>,
    /// Where each token's bytes end in `bytes`; they start where the one before ends.
    ends: Vec<usize>,
    /// Tokens by the hash of their bytes, open addressing; a power of two, at most half full.
    slots: Vec<u32>,
    longest: usize,
}

const EMPTY: u32 = u32::MAX;

impl Words {
    /// From the bytes of tokens 0, 1, 2 …; of equal ones, the first is found.
    ///
    /// # Panics
    /// If there are 2³² − 1 tokens or more.
    pub(super) fn new<'a>(words: impl Iterator<Item = &'a [u8]>) -> Words {
        let (mut bytes, mut ends, mut longest) = (Vec::new(), Vec::new(), 0);
        for word in words {
            bytes.extend_from_slice(word);
            ends.push(bytes.len());
            longest = longest.max(word.len());
        }
        let n_tokens = u32::try_from(ends.len()).ok().filter(|&n_tokens| n_tokens != EMPTY);
        let n_tokens = n_tokens.expect("a vocabulary of four thousand million tokens fits no file");
        let slots = vec![EMPTY; (2 * ends.len()).next_power_of_two()];
        let mut words = Words { bytes, ends, slots, longest };
        for token in 0..n_tokens {
            let word = words.get(token).unwrap_or_default();
            let slot = words.slot(word);
            if !word.is_empty() && words.slots[slot] == EMPTY {
                words.slots[slot] = token;
            }
        }
        words
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of a token, empty if it has none; `None` beyond the last.
    pub(super) fn get(&self, token: u32) -> Option<&[u8]> {
        let token = token as usize;
        let end = *self.ends.get(token)?;
        let start = if token == 0 { 0 } else { self.ends[token - 1] };
        Some(&self.bytes[start..end])
    }

    /// The token with these bytes.
    pub(super) fn find(&self, word: &[u8]) -> Option<u32> {
        if word.is_empty() || word.len() > self.longest {
            return None;
        }
        Some(self.slots[self.slot(word)]).filter(|&token| token != EMPTY)
    }

    /// Where the word is, or would be put.
    fn slot(&self, word: &[u8]) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = hash::of_bytes(word) as usize & mask;
        while self.slots[slot] != EMPTY && self.get(self.slots[slot]) != Some(word) {
            slot = (slot + 1) & mask;
        }
        slot
    }
}
