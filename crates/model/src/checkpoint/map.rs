//! The bytes of a file: mapped, embedded in the program, or made at load.
#![allow(unsafe_code, reason = "a memory map: the one exception outside the kernels")]

use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use crate::error::ModelError;

/// Bytes that stay where they are for as long as the model lives.
#[derive(Debug)]
pub(crate) enum FileBytes {
    Mapped(Mmap),
    Embedded(&'static [u8]),
    Owned(Vec<u8>),
}

impl FileBytes {
    /// Maps a file. Nothing is read yet; pages come in as they are used.
    pub(crate) fn map(path: &Path) -> Result<FileBytes, ModelError> {
        let failed = |source| ModelError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.len() == 0 {
            return Ok(FileBytes::Embedded(&[]));
        }
        // SAFETY: the map is private and only read. As with every map, another process that cuts the
        // file off while it is in use would end this one; a download writes elsewhere and renames.
        let map = unsafe { Mmap::map(&file) }.map_err(failed)?;
        Ok(FileBytes::Mapped(map))
    }
}

impl Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            FileBytes::Mapped(map) => map,
            FileBytes::Embedded(bytes) => bytes,
            FileBytes::Owned(bytes) => bytes,
        }
    }
}
