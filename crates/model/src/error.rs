//! Everything that can be wrong with a checkpoint or with what is asked of it.

use std::path::PathBuf;

use crate::tokenizer::TokenizerError;

/// Why a model could not be loaded or run. Every variant names the file and the place in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that must be there is not.
    #[error("{} is missing", path.display())]
    MissingFile {
        /// The file.
        path: PathBuf,
    },
    /// A JSON file that is none.
    #[error("{} is not the JSON it should be", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A JSON file larger than any sensible one.
    #[error("{} has {n_bytes} bytes, more than {max_bytes}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        n_bytes: u64,
        /// The limit.
        max_bytes: u64,
    },
    /// Another architecture than gpt-oss.
    #[error("{}: the architecture is {found}, this program runs \"gpt_oss\"", path.display())]
    Architecture {
        /// `config.json`
        path: PathBuf,
        /// What it names.
        found: String,
    },
    /// A setting that is missing, out of range or not supported.
    #[error("{}: {key} is {found}, expected {expected}", path.display())]
    Setting {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// Its value, shortened.
        found: String,
        /// What would have been right.
        expected: String,
    },
    /// The length of a safetensors header does not fit the file.
    #[error("{}: a header of {n_header} bytes does not fit a file of {n_file}", path.display())]
    HeaderLength {
        /// The file.
        path: PathBuf,
        /// Bytes that the header claims.
        n_header: u64,
        /// Bytes of the file.
        n_file: u64,
    },
    /// The file ends before a tensor does.
    #[error("{}: cut off inside {tensor}: {n_file} bytes, {expected} expected", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The first tensor that is not whole.
        tensor: String,
        /// Bytes that the tensor needs the file to have.
        expected: u64,
        /// Bytes of the file.
        n_file: u64,
    },
    /// A tensor's place does not fit its shape, or overlaps another's.
    #[error("{}: {tensor} lies at {start}..{end}: {problem}", path.display())]
    Offsets {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// First byte, counted from the end of the header.
        start: u64,
        /// Byte after the last.
        end: u64,
        /// What is wrong with that.
        problem: OffsetProblem,
    },
    /// The index names a file that may not or cannot be opened.
    #[error("{}: {tensor} is said to be in {file:?}, which is not a file beside it", path.display())]
    IndexedFile {
        /// `model.safetensors.index.json`
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The file it is said to be in.
        file: String,
    },
    /// A tensor that the architecture needs is not there.
    #[error("{}: tensor {tensor} is missing", path.display())]
    MissingTensor {
        /// The checkpoint, or the file that the index names.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A tensor of another shape than `config.json` makes it.
    #[error("{}: {tensor} has shape {found:?}, expected {expected:?}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The shape that follows from `config.json`.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// A tensor of a number format that cannot be used there.
    #[error("{}: {tensor} is stored as {found}, expected {expected}", path.display())]
    Dtype {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The formats that can be used.
        expected: &'static str,
        /// The format in the file.
        found: String,
    },
    /// MXFP4 rows that are not whole groups of 32.
    #[error("{}: {tensor} has rows of {n_in} values, no multiple of 32", path.display())]
    Group {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Length of a row.
        n_in: usize,
    },
    /// An MXFP4 scale of 255: "not a number".
    #[error("{}: {tensor} has the scale byte 255 (not a number) at {at}", path.display())]
    NanScale {
        /// The file.
        path: PathBuf,
        /// The tensor of scales.
        tensor: String,
        /// Which of its bytes.
        at: usize,
    },
    /// The tokenizer's file cannot be used.
    #[error("{} cannot be used", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: TokenizerError,
    },
    /// The tokenizer has tokens that the model has no rows for.
    #[error("{}: {n_tokens} tokens, but the model has {vocab_size} rows", path.display())]
    Vocabulary {
        /// The tokenizer's file.
        path: PathBuf,
        /// Tokens in it.
        n_tokens: usize,
        /// Rows of the embedding.
        vocab_size: usize,
    },
    /// A token that the model has no row for.
    #[error("token {token} does not exist: the model has {vocab_size} rows")]
    UnknownToken {
        /// The token.
        token: u32,
        /// Rows of the embedding.
        vocab_size: usize,
    },
    /// A segment without tokens.
    #[error("segment {segment_idx} has no tokens")]
    EmptySegment {
        /// Which segment of the step.
        segment_idx: usize,
    },
    /// A segment's table has no blocks for its tokens.
    #[error("segment {segment_idx} ends at position {end}, its blocks at {room}")]
    NoRoom {
        /// Which segment of the step.
        segment_idx: usize,
        /// Positions that the sequence would have.
        end: usize,
        /// Positions that its blocks hold.
        room: usize,
    },
    /// A segment's table would have to write into a block that others hold too.
    #[error("segment {segment_idx} writes into block {block_idx}, which is shared")]
    SharedBlock {
        /// Which segment of the step.
        segment_idx: usize,
        /// Which block of its table.
        block_idx: usize,
    },
    /// A block made for another network.
    #[error("segment {segment_idx}: block {block_idx} was made for another model")]
    ForeignBlock {
        /// Which segment of the step.
        segment_idx: usize,
        /// Which block of its table.
        block_idx: usize,
    },
}

/// What is wrong with a tensor's place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OffsetProblem {
    /// The end is before the start.
    #[error("it ends before it begins")]
    Backwards,
    /// The shape needs another number of bytes.
    #[error("its shape needs {expected} bytes")]
    Size {
        /// Bytes that shape and format need.
        expected: u64,
    },
    /// The shape has more bytes than can be counted.
    #[error("its shape is larger than memory can be")]
    Huge,
    /// It does not begin where the tensor before it ends.
    #[error("the tensor before it ends at {expected}")]
    Gap {
        /// Where it should begin.
        expected: u64,
    },
}
