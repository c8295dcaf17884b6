//! What can be wrong with a directory of an encoder.

use std::path::PathBuf;

/// Why an encoder cannot be made of a directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbedError {
    /// A file that must be there is not, or cannot be read.
    #[error("{}: cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is no JSON, or lacks a field.
    #[error("{}: not as expected", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The field or the place.
        #[source]
        source: serde_json::Error,
    },
    /// A field says something that cannot be followed.
    #[error("{}: {field}: {problem}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The field's name.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The tokenizer cannot be made of its file.
    #[error("{}: not a tokenizer", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The weights are damaged, lack a tensor, or have one of another shape than the configuration says.
    #[error("{}: not the weights that config.json describes", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// Which tensor, and how.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The system gave no threads to compute on.
    #[error("no threads to compute on")]
    Threads {
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
