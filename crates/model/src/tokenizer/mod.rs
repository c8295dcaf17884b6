//! Text to token ids and back: byte-level BPE as gpt-oss uses it.
//!
//! [`Tokenizer::encode`] gives ordinary tokens only, whatever the text says: control tokens are put in by
//! `harmony`, never by content. `json.rs` reads `tokenizer.json`, `o200k.rs` holds the built-in vocabulary,
//! `split.rs` and `merge.rs` are the two steps of encoding, `words.rs` is the table under them.

mod control;
mod error;
mod hash;
mod json;
mod merge;
mod o200k;
mod split;
mod stream;
mod words;

use std::collections::BTreeMap;
use std::path::Path;

pub use control::Control;
pub use error::TokenizerError;
use merge::{Merges, Merging};
pub use stream::TextStream;
use words::Words;

/// A vocabulary with its way of encoding.
pub struct Tokenizer {
    /// Bytes of the ordinary tokens; none at the ids of control tokens.
    words: Words,
    /// The token of each single byte.
    single: [u32; 256],
    merges: Merges,
    /// A piece of text that is a token is that token, wherever merging would lead.
    takes_whole: bool,
    /// Names of control tokens, those without a meaning here included.
    names: BTreeMap<u32, String>,
    controls: [u32; Control::ALL.len()],
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// [`TokenizerError::Read`], or [`TokenizerError::File`] around what [`Tokenizer::from_json`] says.
    pub fn from_file(path: &Path) -> Result<Tokenizer, TokenizerError> {
        let bytes = std::fs::read(path)
            .map_err(|source| TokenizerError::Read { path: path.to_owned(), source })?;
        Tokenizer::from_json(&bytes)
            .map_err(|source| TokenizerError::File { path: path.to_owned(), source: source.into() })
    }

    /// Reads the text of a `tokenizer.json`: byte-level BPE over the pattern of o200k.
    ///
    /// # Errors
    /// [`TokenizerError`] for another kind of tokenizer, or an inconsistent one.
    pub fn from_json(bytes: &[u8]) -> Result<Tokenizer, TokenizerError> {
        json::read(bytes)
    }

    /// `o200k_harmony`, the vocabulary of gpt-oss; built in, made at the first call.
    pub fn o200k_harmony() -> &'static Tokenizer {
        o200k::tokenizer()
    }

    /// From the bytes of ordinary tokens and the names of all others.
    fn new(
        words: Words,
        names: BTreeMap<u32, String>,
        merges: Merges,
        takes_whole: bool,
    ) -> Result<Tokenizer, TokenizerError> {
        let mut single = [0; 256];
        for (byte, token) in (0..=255_u8).zip(&mut single) {
            *token = words.find(&[byte]).ok_or(TokenizerError::Byte { byte })?;
        }
        let mut controls = [0; Control::ALL.len()];
        for (control, token) in Control::ALL.into_iter().zip(&mut controls) {
            let name = control.name();
            let found = names.iter().find(|(_, other)| other.as_str() == name);
            *token = *found.ok_or(TokenizerError::Control { name })?.0;
        }
        Ok(Tokenizer { words, single, merges, takes_whole, names, controls })
    }

    /// The ordinary tokens of a text. Text that looks like a control token stays text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::with_capacity(text.len() / 3);
        for piece in split::pieces(text) {
            let piece = &text.as_bytes()[piece];
            match self.words.find(piece).filter(|_| self.takes_whole) {
                Some(token) => tokens.push(token),
                None => {
                    Merging::new(&self.merges, &self.words, &self.single, piece).run(&mut tokens);
                }
            }
        }
        tokens
    }

    /// The bytes of an ordinary token; `None` for control tokens and unknown ids.
    pub fn bytes(&self, token: u32) -> Option<&[u8]> {
        self.words.get(token).filter(|word| !word.is_empty())
    }

    /// The text of tokens: control tokens as their names, bytes that are no UTF-8 as U+FFFD.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let mut stream = TextStream::new(self);
        let mut text = String::new();
        for &token in tokens {
            text += &stream.push(token);
        }
        text + &stream.finish()
    }

    /// The id of a control token.
    pub fn control(&self, control: Control) -> u32 {
        self.controls[control as usize]
    }

    /// What a token means in harmony, if it is one of its control tokens.
    pub fn control_of(&self, token: u32) -> Option<Control> {
        Control::ALL.into_iter().find(|&control| self.control(control) == token)
    }

    /// The name of a token that is not ordinary.
    pub fn control_name(&self, token: u32) -> Option<&str> {
        self.names.get(&token).map(String::as_str)
    }

    /// Ids run from 0 to one less.
    pub fn vocab_size(&self) -> usize {
        self.words.len()
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer").field("vocab_size", &self.vocab_size()).finish_non_exhaustive()
    }
}
