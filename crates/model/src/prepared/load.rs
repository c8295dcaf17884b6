//! Where the bytes of a file are read from: its map, or a copy in memory that has large pages where the map has not.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;

use kernels::Pool;
use memmap2::{Advice, Mmap, MmapMut};

use super::pages;
use super::{Preparation, Preparing};
use crate::checkpoint::map;
use crate::memory;

/// Bytes that are read while nobody looks whether there is still room for them: another process may load too.
const STEP: usize = 1 << 30;
/// Bytes that a thread reads at once.
const CHUNK: usize = 8 << 20;
const NO_PANIC: &str = "nothing panics while it is locked";

/// When the file of prepared weights is loaded: read into memory of this process. Otherwise it is mapped: processes share
/// it, and the system may take back what it has of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loading {
    /// Never.
    Never,
    /// Where its map turns out to lie in small pages, there are large ones, and so many bytes stay available beside what is
    /// loaded and the part of the checkpoint that is read on.
    InLargePages {
        /// Bytes.
        spare: u64,
    },
    /// Whatever its pages, if so many bytes stay available.
    Always {
        /// As above.
        spare: u64,
    },
}

/// Where prepared weights are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residence {
    /// In memory of this process: loaded, or made there.
    Memory,
    /// In a file's map.
    Mapped {
        /// Whether in large pages, as far as some were looked at.
        large_pages: bool,
    },
}

impl fmt::Display for Residence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Residence::Memory => "in memory",
            Residence::Mapped { large_pages: true } => "mapped in large pages",
            Residence::Mapped { large_pages: false } => "mapped in small pages",
        })
    }
}

/// Why weights that should be loaded stay in the file's map.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadProblem {
    /// There is no room for them.
    #[error(
        "loading weights needs {needed:.1} GB of memory with what should stay free, and {free:.1} GB are free",
        needed = *n_needed as f64 / 1e9, free = *n_free as f64 / 1e9
    )]
    NoRoom {
        /// Bytes that were still to be loaded, and those that should stay free beside them.
        n_needed: u64,
        /// Bytes that were free.
        n_free: u64,
    },
    /// The system does not tell how much memory there is.
    #[error("nobody tells how much memory is free for loading weights: {0}")]
    Untold(io::Error),
    /// The system does not give the memory.
    #[error("the system gives no memory to load weights: {0}")]
    System(io::Error),
}

/// A file that is mapped, and may be loaded.
pub(super) struct Mapped {
    file: File,
    pub(super) map: Mmap,
    large_pages: bool,
}

impl Mapped {
    /// Maps a file, in large pages where they can be had.
    ///
    /// # Errors
    /// What the system says of the file.
    pub(super) fn new(file: File) -> io::Result<Mapped> {
        let map = map(&file)?;
        // What is not in memory yet comes in large pages where the file system has them; it works without.
        let _ = map.advise(Advice::HugePage);
        let large_pages = pages::are_large(&map);
        Ok(Mapped { file, map, large_pages })
    }

    /// The file's bytes and where they are: loaded if `preparation` says so and there is room; `n_beside` bytes are read on
    /// elsewhere.
    ///
    /// # Errors
    /// What the system says of the file, where it has become shorter since it was mapped too.
    pub(super) fn hold(
        self,
        n_beside: u64,
        preparation: &Preparation<'_>,
    ) -> io::Result<(Mmap, Residence)> {
        let Mapped { file, map, large_pages } = self;
        let spare = match preparation.loading {
            Loading::InLargePages { spare } if !large_pages && pages::can_be_large() => Some(spare),
            Loading::Always { spare } => Some(spare),
            _ => None,
        };
        if let Some(spare) = spare {
            match load(&file, map.len(), spare.saturating_add(n_beside), preparation) {
                Ok(loaded) => return Ok((loaded, Residence::Memory)),
                Err(Failure::Unreadable(error)) => return Err(error),
                Err(Failure::NotLoaded(problem)) => {
                    (preparation.listener)(&Preparing::NotLoaded(problem));
                }
            }
        }
        Ok((map, Residence::Mapped { large_pages }))
    }
}

enum Failure {
    NotLoaded(LoadProblem),
    /// The file could not be read, or has become shorter.
    Unreadable(io::Error),
}

impl From<LoadProblem> for Failure {
    fn from(problem: LoadProblem) -> Failure {
        Failure::NotLoaded(problem)
    }
}

fn load(
    file: &File,
    n_bytes: usize,
    spare: u64,
    preparation: &Preparation<'_>,
) -> Result<Mmap, Failure> {
    // Memory is taken when it is first written to, step by step.
    let mut copy = MmapMut::map_anon(n_bytes).map_err(LoadProblem::System)?;
    let _ = copy.advise(Advice::HugePage);
    for (idx, step) in copy.chunks_mut(STEP).enumerate() {
        let start = idx * STEP;
        check_room(n_bytes - start, spare)?;
        preparation.tell_loaded(start, n_bytes);
        read(file, start, step, preparation.pool).map_err(Failure::Unreadable)?;
    }
    preparation.tell_loaded(n_bytes, n_bytes);
    Ok(copy.make_read_only().map_err(LoadProblem::System)?)
}

fn check_room(n_bytes: usize, spare: u64) -> Result<(), LoadProblem> {
    let (n_needed, n_free) =
        (spare.saturating_add(n_bytes as u64), memory::available().map_err(LoadProblem::Untold)?);
    if n_free < n_needed { Err(LoadProblem::NoRoom { n_needed, n_free }) } else { Ok(()) }
}

/// Fills `out` with the file's bytes from `start` on, many threads at once: one alone does not reach what a disk gives.
fn read(file: &File, start: usize, out: &mut [u8], pool: &Pool) -> io::Result<()> {
    let result = Mutex::new(Ok(()));
    pool.for_chunks(out, CHUNK, &|idx, chunk| {
        if let Err(error) = file.read_exact_at(chunk, (start + idx * CHUNK) as u64) {
            *result.lock().expect(NO_PANIC) = Err(error);
        }
    });
    result.into_inner().expect(NO_PANIC)
}
