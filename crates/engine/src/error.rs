//! What can go wrong, as facts. Every variant concerns one request, except those of starting.
//!
//! Nothing here knows what a request is for. A failed request ends with [`crate::Finish::Failed`];
//! its neighbours do not notice. Next: `request.rs`.

use std::sync::Arc;

use model::ModelError;

/// Why an engine did not start, a request was refused, or a generation failed.
///
/// Cheap to clone: one cause may end several requests.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A setting that cannot hold.
    #[error("setting `{setting}` is {found}, but {expected}")]
    Setting {
        /// The field of `EngineSettings`.
        setting: &'static str,
        /// Its value.
        found: String,
        /// What it must be.
        expected: String,
    },
    /// A request's `Sampling` that has no meaning.
    #[error("sampling: `{field}` is {found}, but must be {expected}")]
    Sampling {
        /// The field of `Sampling`.
        field: &'static str,
        /// Its value.
        found: f32,
        /// What it must be.
        expected: &'static str,
    },
    /// A prompt without a single token.
    #[error("the prompt has no tokens")]
    EmptyPrompt,
    /// A token that the model has no row for, in a prompt or from a guide.
    #[error("token {token} does not exist: the model has {vocab_size} rows")]
    UnknownToken {
        /// The token.
        token: u32,
        /// Rows of the model's embedding.
        vocab_size: usize,
    },
    /// The prompt leaves no room for a single token in the context.
    #[error("the prompt has {n_tokens} tokens, the context holds {context_len}")]
    PromptTooLong {
        /// Tokens in the prompt.
        n_tokens: usize,
        /// The limit.
        context_len: usize,
    },
    /// The reply ran into the end of the context before it was done.
    #[error("the context of {context_len} tokens is full")]
    ContextFull {
        /// The limit.
        context_len: usize,
    },
    /// The request needs more memory for keys and values than the engine may use for all.
    #[error(
        "{n_tokens} tokens need {needed_bytes} bytes of keys and values, the limit is {limit_bytes}"
    )]
    KvFull {
        /// Tokens that were to be held.
        n_tokens: usize,
        /// Bytes for this request alone.
        needed_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// The operating system gave no thread.
    #[error("the engine's thread did not start")]
    Thread(#[source] Arc<std::io::Error>),
    /// Too many requests wait already.
    #[error("{queue_len} requests are waiting already")]
    QueueFull {
        /// The limit.
        queue_len: usize,
    },
    /// The engine was stopped, or its thread ended.
    #[error("the engine has stopped")]
    Stopped,
    /// The forward pass gave a number that is not finite, among those that were looked at.
    #[error("the logit of token {token} at position {position} is {value}")]
    NonFinite {
        /// Position that was to be chosen.
        position: usize,
        /// First row affected.
        token: u32,
        /// `NaN`, `inf` or `-inf`.
        value: f32,
    },
    /// The model refused the step.
    #[error("the forward pass failed")]
    Forward(#[source] Arc<ModelError>),
    /// The forward pass panicked on this request.
    #[error("the forward pass panicked: {message}")]
    ForwardPanicked {
        /// The panic's words.
        message: String,
    },
    /// A guide panicked.
    #[error("the guide panicked: {message}")]
    GuidePanicked {
        /// The panic's words.
        message: String,
    },
    /// A guide left nothing that could come next.
    #[error("the guide allows no token at position {position}")]
    GuideDeadEnd {
        /// Position that was to be chosen.
        position: usize,
    },
    /// A grammar that does not compile.
    #[error("grammar: {message}")]
    GrammarSource {
        /// What the grammar's compiler says, with line and column where it has them.
        message: String,
    },
    /// A compiled grammar that could not be followed: too complex, or given a token it excludes.
    #[error("grammar, after {n_tokens} tokens: {message}")]
    GrammarState {
        /// Tokens accepted so far.
        n_tokens: usize,
        /// What went wrong.
        message: String,
    },
}
