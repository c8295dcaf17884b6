//! Files that callers leave for batches, and those that batches leave for callers.

use crate::id::FileId;
use crate::time::Millis;

/// Bytes of a chunk: what one row holds and one read brings into memory.
pub const CHUNK_BYTES: usize = 256 << 10;

/// A file without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its id.
    pub id: FileId,
    /// Whose it is.
    pub tenant: String,
    /// The caller's name for it.
    pub name: String,
    /// OpenAI's word for what it is for, such as `batch`.
    pub purpose: String,
    /// How long it is.
    pub n_bytes: i64,
    /// When it was begun.
    pub created_at: Millis,
    /// When its last byte came; `None` while it is being written.
    pub complete_at: Option<Millis>,
    /// When it goes by its caller's wish, whatever else is kept for how long.
    pub expires_at: Option<Millis>,
}
