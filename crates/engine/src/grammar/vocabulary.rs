//! Our tokenizer as `llguidance` wants to see it.

use std::ops::Deref;

use model::tokenizer::{Control, Tokenizer};
use toktrie::{TokRxInfo, TokTrie, TokenId, TokenizerEnv};

/// A tokenizer with the prefix tree of its tokens' bytes.
pub(super) struct Vocabulary<T> {
    tokenizer: T,
    trie: TokTrie,
}

impl<T: Deref<Target = Tokenizer>> Vocabulary<T> {
    pub(super) fn new(tokenizer: T) -> Vocabulary<T> {
        let words: Vec<Vec<u8>> =
            (0..tokenizer.vocab_size() as u32).map(|token| word(&tokenizer, token)).collect();
        let info = TokRxInfo::new(words.len() as u32, tokenizer.control(Control::Return));
        let trie = TokTrie::from(&info, &words);
        Vocabulary { tokenizer, trie }
    }
}

/// The bytes by which a token can be matched. 0xFF never occurs in UTF-8: it marks control tokens, so
/// that no text can match one, and the few ordinary tokens that hold it get no bytes at all, since
/// they could be taken for the mark.
fn word(tokenizer: &Tokenizer, token: u32) -> Vec<u8> {
    let mark = TokTrie::SPECIAL_TOKEN_MARKER;
    match tokenizer.bytes(token) {
        Some(bytes) if bytes.contains(&mark) => Vec::new(),
        Some(bytes) => bytes.to_vec(),
        None => {
            let mut word = vec![mark];
            word.extend(tokenizer.decode(&[token]).bytes());
            word
        }
    }
}

impl<T: Deref<Target = Tokenizer> + Send> TokenizerEnv for Vocabulary<T> {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    /// The tokens that our own encoder gives. Forced bytes can end inside a character; that end is
    /// cut off again by the caller, which keeps only tokens that no continuation changes.
    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.trie.tokenize_with_greedy_fallback(bytes, |text| self.tokenizer.encode(text))
    }

    fn tokenize_is_canonical(&self) -> bool {
        true
    }
}
