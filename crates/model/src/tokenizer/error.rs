//! Why a `tokenizer.json` cannot be used.

use std::path::PathBuf;

/// What is wrong with a tokenizer file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The file cannot be read.
    #[error("{path}: cannot be read", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file can be read and is not one that can be used.
    #[error("{path}: cannot be used", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<TokenizerError>,
    },
    /// Not the JSON of a tokenizer.
    #[error("the tokenizer is not readable JSON of the Hugging Face form")]
    Json(#[from] serde_json::Error),
    /// A kind of tokenizer that gpt-oss does not use.
    #[error("the tokenizer's {part} is {found}, and only {expected} is known")]
    Unknown {
        /// Which part.
        part: &'static str,
        /// What stands there.
        found: String,
        /// What can be read.
        expected: &'static str,
    },
    /// Ids must be 0, 1, 2 … without holes or repetitions.
    #[error("token id {id} is {problem}; there are {n_tokens} tokens")]
    Id {
        /// The id.
        id: u64,
        /// `missing`, `given twice` or `too large`.
        problem: &'static str,
        /// Tokens in the file.
        n_tokens: usize,
    },
    /// A token of no bytes.
    #[error("token {id} is empty")]
    Empty {
        /// The token.
        id: u64,
    },
    /// A merge names a token that does not exist.
    #[error("merge {index} joins or makes a token that is not in the vocabulary")]
    Merge {
        /// Its place in the list.
        index: usize,
    },
    /// A control token of harmony is missing.
    #[error("the control token {name} is missing")]
    Control {
        /// Its text.
        name: &'static str,
    },
    /// A byte has no token of its own, so some text could not be encoded.
    #[error("byte {byte} has no token")]
    Byte {
        /// The byte.
        byte: u8,
    },
}
