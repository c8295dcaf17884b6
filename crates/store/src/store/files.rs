//! Files.

use super::{Store, page_of, twin};
use crate::error::{Result, StoreError};
use crate::file::{CHUNK_BYTES, File};
use crate::id::FileId;
use crate::time::Millis;

impl Store {
    /// Begins a file; [`Store::add_to_file`] fills it and [`Store::finish_file`] makes it visible.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn begin_file(&self, tenant: &str, name: &str, purpose: &str) -> Result<FileId> {
        twin!(self, files::begin(tenant, name, purpose, Millis::now()))
    }

    /// Adds one chunk, of at most [`CHUNK_BYTES`].
    ///
    /// # Errors
    /// [`StoreError::TooMuch`] above, [`StoreError::Unknown`] without such an unfinished file.
    pub async fn add_to_file(&self, id: &FileId, bytes: &[u8]) -> Result<()> {
        let (found, limit) = (bytes.len(), CHUNK_BYTES);
        if found > limit {
            return Err(StoreError::TooMuch { what: "bytes of a chunk", found, limit });
        }
        twin!(self, files::add(id, bytes))
    }

    /// Ends a file: it can be read and listed from now on, and until it expires.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn finish_file(&self, id: &FileId, expires_at: Option<Millis>) -> Result<()> {
        twin!(self, files::finish(id, expires_at, Millis::now()))
    }

    /// Stores a file that is whole in memory.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn put_file(
        &self,
        tenant: &str,
        name: &str,
        purpose: &str,
        bytes: &[u8],
    ) -> Result<File> {
        let id = self.begin_file(tenant, name, purpose).await?;
        for chunk in bytes.chunks(CHUNK_BYTES) {
            self.add_to_file(&id, chunk).await?;
        }
        self.finish_file(&id, None).await?;
        self.file(tenant, &id).await
    }

    /// A file without its bytes.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] without such a file of this tenant.
    pub async fn file(&self, tenant: &str, id: &FileId) -> Result<File> {
        twin!(self, files::one(tenant, id, Millis::now()))
    }

    /// Finished files, newest first, from before the one given; of one purpose, if one is named.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn files(
        &self,
        tenant: &str,
        purpose: Option<&str>,
        before: Option<&FileId>,
        limit: usize,
    ) -> Result<Vec<File>> {
        twin!(self, files::page(tenant, purpose, before, page_of(limit), Millis::now()))
    }

    /// The chunk of this number, from 0; `None` behind the last.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn file_chunk(&self, id: &FileId, chunk_idx: i64) -> Result<Option<Vec<u8>>> {
        twin!(self, files::chunk(id, chunk_idx))
    }

    /// Removes a file.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] without such a file of this tenant.
    pub async fn delete_file(&self, tenant: &str, id: &FileId) -> Result<()> {
        twin!(self, files::delete(tenant, id))
    }

    /// Removes finished files that were begun before, and those that have expired, at most `limit`; returns how many.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn prune_files(&self, before: Millis, limit: usize) -> Result<u64> {
        twin!(self, pruning::remove_files(before, page_of(limit), Millis::now()))
    }

    /// Removes files begun before and never finished; returns how many.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn sweep_files(&self, before: Millis) -> Result<u64> {
        twin!(self, files::sweep(before))
    }
}
