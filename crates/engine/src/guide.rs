//! How a caller steers one sequence, token by token. `grammar/` holds a ready guide.

use crate::error::EngineError;
use crate::mask::TokenMask;

/// Steers one sequence.
///
/// The engine asks [`Guide::next`] for every place in the reply, in order and once, and tells
/// [`Guide::accept`] every token that was put there, forced ones too, before it asks again.
/// Both run on the engine's thread between two steps: a slow guide slows every request. A guide
/// that panics ends its own request with [`EngineError::GuidePanicked`].
pub trait Guide: Send {
    /// What may come next.
    fn next(&mut self) -> Next;
    /// What came.
    fn accept(&mut self, token: u32);
}

/// What may come next in a sequence.
#[derive(Debug, Clone)]
pub enum Next {
    /// Any token.
    Free,
    /// Any token but these.
    Forbid(Vec<u32>),
    /// One of these; tokens that the model has no row for do not count.
    Allow(TokenMask),
    /// Exactly these, in this order: appended without sampling, computed as one chunk.
    Force(Vec<u32>),
    /// Nothing: the reply is complete.
    Stop,
    /// Nothing: the guide itself cannot go on, and the generation ends as failed.
    Fail(EngineError),
}
