//! A set of tokens, one bit each. Knows nothing of what the tokens spell.

/// A set of tokens of one vocabulary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenMask {
    /// Bit `t % 32` of word `t / 32` is token `t`.
    words: Vec<u32>,
}

impl TokenMask {
    /// The empty set, with room for `vocab_size` tokens.
    pub fn new(vocab_size: usize) -> TokenMask {
        TokenMask { words: vec![0; vocab_size.div_ceil(32)] }
    }

    /// The set with exactly `tokens`.
    pub fn of(tokens: &[u32]) -> TokenMask {
        let mut mask = TokenMask::new(0);
        for &token in tokens {
            mask.insert(token);
        }
        mask
    }

    /// The set whose token `t` is bit `t % 32` of word `t / 32`.
    pub fn from_words(words: Vec<u32>) -> TokenMask {
        TokenMask { words }
    }

    /// Adds a token; the set grows to hold it.
    pub fn insert(&mut self, token: u32) {
        let word_idx = token as usize / 32;
        if word_idx >= self.words.len() {
            self.words.resize(word_idx + 1, 0);
        }
        self.words[word_idx] |= 1 << (token % 32);
    }

    /// Takes a token out; one that was not in is no matter.
    pub fn remove(&mut self, token: u32) {
        if let Some(word) = self.words.get_mut(token as usize / 32) {
            *word &= !(1 << (token % 32));
        }
    }

    /// Whether the token is in.
    pub fn contains(&self, token: u32) -> bool {
        self.words.get(token as usize / 32).is_some_and(|word| word >> (token % 32) & 1 == 1)
    }

    /// Number of tokens in the set.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether nothing is in.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// The tokens, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(word_idx, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                if rest == 0 {
                    return None;
                }
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                Some(word_idx as u32 * 32 + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_inserted() {
        let tokens = [0, 1, 31, 32, 63, 64, 200_018];
        let mut mask = TokenMask::of(&tokens);
        assert_eq!(mask.iter().collect::<Vec<_>>(), tokens);
        assert_eq!(mask.len(), tokens.len());
        assert!(!mask.contains(2) && !mask.contains(u32::MAX));
        mask.remove(63);
        mask.remove(u32::MAX);
        assert!(!mask.contains(63) && mask.contains(64));
        assert!(TokenMask::new(100).is_empty());
    }
}
