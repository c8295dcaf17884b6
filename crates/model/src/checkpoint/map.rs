//! A file's bytes without reading them: the one place outside `kernels` with `unsafe`.
#![allow(unsafe_code, reason = "mapping a file is unsafe by nature")]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use memmap2::{Mmap, UncheckedAdvice};

use crate::error::ModelError;

/// The largest page that systems in use have.
const PAGE: usize = 1 << 16;

/// Bytes of a file: mapped, or part of the program.
#[derive(Debug)]
pub(crate) enum Bytes {
    Mapped(Mmap),
    Static(&'static [u8]),
}

impl Bytes {
    /// Maps a file for reading.
    ///
    /// Whoever changes a checkpoint in place while it runs changes its results; nobody should.
    pub(crate) fn map(path: &Path) -> Result<Bytes, ModelError> {
        let map = File::open(path).and_then(|file| map(&file));
        let failed = |source| ModelError::Read { path: path.to_owned(), source };
        map.map(Bytes::Mapped).map_err(failed)
    }

    /// Gives back the memory of pages that nobody will read for long; where bytes were made in memory, they are gone.
    pub(crate) fn forget(&self, range: Range<usize>) {
        let Bytes::Mapped(map) = self else { return };
        let (start, end) = (range.start.next_multiple_of(PAGE), range.end / PAGE * PAGE);
        if start < end {
            // SAFETY: the map is read-only and its bytes are plain numbers: what is read of them afterwards comes from the
            // file again, or is zero. It is advice; a system that does not take it keeps the pages.
            let _ = unsafe {
                map.unchecked_advise_range(UncheckedAdvice::DontNeed, start, end - start)
            };
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Bytes::Mapped(map) => map,
            Bytes::Static(bytes) => bytes,
        }
    }
}

/// Maps an open file for reading; see [`Bytes::map`].
///
/// # Errors
/// What the system says.
pub(crate) fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: the map is read-only; every byte is read as plain numbers and checked where it is an
    // offset or a length, so that a file changed meanwhile gives wrong numbers at worst.
    unsafe { Mmap::map(file) }
}
