//! Why a model cannot be loaded or run: always with the place, so that people can look there.

use std::path::PathBuf;

use crate::tokenizer::TokenizerError;

/// What is wrong with a model's files, or with a request to the forward pass.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file cannot be read.
    #[error("{path}: cannot be read", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not the JSON it should be.
    #[error("{path}: is not the JSON expected there", path = path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// Another network than gpt-oss.
    #[error("{path}: the architecture is {found}, and only gpt_oss is known", path = path.display())]
    Architecture {
        /// The configuration file.
        path: PathBuf,
        /// What it names.
        found: String,
    },
    /// A number of the configuration that cannot be.
    #[error("{path}: {key} is {found}; it must be {expected}", path = path.display())]
    Config {
        /// The configuration file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// Its value.
        found: String,
        /// What would do.
        expected: String,
    },
    /// A safetensors file, or the index of several, that does not hold together.
    #[error("{path} is damaged or cut short", path = path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong, and with which tensor.
        #[source]
        problem: FileProblem,
    },
    /// A tensor that the architecture needs is nowhere.
    #[error("{path}: tensor {tensor} is missing", path = path.display())]
    MissingTensor {
        /// The file or folder that should have it.
        path: PathBuf,
        /// Its name.
        tensor: String,
    },
    /// A tensor of another shape than the configuration asks for.
    #[error("{path}: tensor {tensor} has the shape {found:?}, the configuration needs {expected:?}", path = path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// By the configuration.
        expected: Vec<usize>,
        /// In the file.
        found: Vec<usize>,
    },
    /// A tensor in a format that has no place there.
    #[error("{path}: tensor {tensor} is stored as {found}, expected {expected}", path = path.display())]
    Dtype {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// What can be read there.
        expected: &'static str,
        /// In the file.
        found: String,
    },
    /// A scale byte that stands for "not a number".
    #[error("{path}: tensor {tensor} has the scale byte 255 (not a number) at position {position}", path = path.display())]
    NanScale {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Index of the byte.
        position: usize,
    },
    /// Dense matrices that cannot be turned into 8-bit integers.
    #[error("the dense matrices have {n_in} inputs, and 8-bit integers need groups of 32")]
    Int8 {
        /// Inputs of the matrix.
        n_in: usize,
    },
    /// The tokenizer cannot be used.
    #[error("{path}: the tokenizer cannot be used", path = path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TokenizerError,
    },
    /// The tokenizer has ids that the embedding has no rows for.
    #[error("{path}: the tokenizer has {n_tokens} tokens, the model has rows for {vocab_size}", path = path.display())]
    VocabSize {
        /// The tokenizer's file.
        path: PathBuf,
        /// Ids of the tokenizer.
        n_tokens: usize,
        /// Rows of the embedding.
        vocab_size: usize,
    },
    /// A token that the model has no row for.
    #[error("token {token} is beyond the vocabulary of {vocab_size}")]
    Token {
        /// The token.
        token: u32,
        /// Rows of the embedding.
        vocab_size: usize,
    },
    /// More positions than the model or the table has room for.
    #[error("position {position} is beyond {limit}")]
    Position {
        /// The position that was to be computed.
        position: usize,
        /// Positions there are.
        limit: usize,
    },
    /// A block that is to be written belongs to another sequence too.
    #[error("block {block_idx} is shared, so it cannot be written")]
    SharedBlock {
        /// Its place in the table.
        block_idx: usize,
    },
    /// A block that sliding layers look back at, without its part of them.
    #[error(
        "block {block_idx} is still seen, and its keys and values of sliding layers were given away"
    )]
    SlidBlock {
        /// Its place in the table.
        block_idx: usize,
    },
    /// Golden numbers about a prompt that is not among them.
    #[error("{path}: prompt {prompt} is missing", path = path.display())]
    GoldenPrompt {
        /// The file.
        path: PathBuf,
        /// The prompt's name.
        prompt: String,
    },
}

/// What does not hold together in a safetensors file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileProblem {
    /// The header is longer than the file, or than any header.
    #[error("a header of {n_header} bytes does not fit a file of {n_file}")]
    Header {
        /// Bytes that the header should have.
        n_header: u64,
        /// Bytes of the file.
        n_file: usize,
    },
    /// The header's line about a tensor cannot be read.
    #[error("the header's line about tensor {tensor} cannot be read")]
    Line {
        /// The tensor.
        tensor: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A number format that no gpt-oss checkpoint uses.
    #[error("tensor {tensor} has the unknown format {dtype}")]
    Format {
        /// The tensor.
        tensor: String,
        /// The format's name.
        dtype: String,
    },
    /// A tensor's bytes are not in the file.
    #[error("tensor {tensor} takes bytes {from}..{to} of {n_data}")]
    Outside {
        /// The tensor.
        tensor: String,
        /// Its first byte, counted from the end of the header.
        from: u64,
        /// The byte after its last.
        to: u64,
        /// Bytes there are after the header.
        n_data: usize,
    },
    /// A tensor has another number of bytes than its shape takes.
    #[error("tensor {tensor} has {n_bytes} bytes, which is not what the shape {shape:?} takes")]
    Size {
        /// The tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<u64>,
        /// Its bytes.
        n_bytes: usize,
    },
    /// Two tensors share bytes.
    #[error("tensors {tensor} and {other} overlap")]
    Overlap {
        /// The tensor that begins first.
        tensor: String,
        /// The other.
        other: String,
    },
    /// Two files hold a tensor of the same name.
    #[error("tensor {tensor} is in another file too")]
    Twice {
        /// The tensor.
        tensor: String,
    },
    /// The index names a file that is not beside it.
    #[error("{file:?} is not the name of a file beside it")]
    NotBeside {
        /// The name.
        file: String,
    },
}
