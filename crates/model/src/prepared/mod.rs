//! Matrices in the form that products want, made once from what a checkpoint stores: in memory, or in a file that later
//! runs map or load.

mod file;
mod load;
mod pages;

use std::io;
use std::path::{Path, PathBuf};

use kernels::Pool;
use memmap2::{Advice, Mmap, MmapMut};

use crate::error::ModelError;
use file::Failure;
pub use load::{LoadProblem, Loading, Residence};

/// How matrices are made ready for products.
#[derive(Clone, Copy)]
pub struct Preparation<'a> {
    /// The threads that do it.
    pub pool: &'a Pool,
    /// The folder where the result is kept for later runs; without one it is made in memory every time.
    pub dir: Option<&'a Path>,
    /// When the file in that folder is loaded rather than mapped.
    pub loading: Loading,
    /// Whom to tell how far it is.
    pub listener: &'a dyn Fn(&Preparing),
}

/// How far a preparation is. A file that is found and mapped says nothing.
#[derive(Debug)]
pub enum Preparing {
    /// Another process makes the file; this one waits for it.
    Waiting,
    /// So many bytes are made.
    Made {
        /// So far.
        n_bytes: u64,
        /// In all.
        n_all: u64,
    },
    /// The result cannot be kept, so it is made in memory.
    NotKept(KeepProblem),
    /// So many bytes of the file are loaded.
    Loaded {
        /// So far.
        n_bytes: u64,
        /// In all.
        n_all: u64,
    },
    /// The file cannot be loaded, so it is mapped.
    NotLoaded(LoadProblem),
}

/// Why prepared matrices cannot be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeepProblem {
    /// The disk has no room for them.
    #[error(
        "{path}: prepared weights need {needed:.1} GB with what should stay free, and {free:.1} GB are free",
        path = path.display(), needed = *n_needed as f64 / 1e9, free = *n_free as f64 / 1e9
    )]
    NoRoom {
        /// The file.
        path: PathBuf,
        /// Bytes of the file, and those that should stay free beside it.
        n_needed: u64,
        /// Bytes that are free.
        n_free: u64,
    },
    /// The system refused.
    #[error("{path}: prepared weights cannot be kept there: {reason}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
}

impl<'a> Preparation<'a> {
    /// In memory, telling nobody.
    pub fn in_memory(pool: &'a Pool) -> Preparation<'a> {
        Preparation { pool, dir: None, loading: Loading::Never, listener: &|_| () }
    }

    fn tell_made(&self, n_bytes: usize, n_all: usize) {
        (self.listener)(&Preparing::Made { n_bytes: n_bytes as u64, n_all: n_all as u64 });
    }

    fn tell_loaded(&self, n_bytes: usize, n_all: usize) {
        (self.listener)(&Preparing::Loaded { n_bytes: n_bytes as u64, n_all: n_all as u64 });
    }
}

/// Makes the piece of an index in the bytes that are to hold it.
pub(crate) type Make<'a> = dyn FnMut(usize, &mut [u8]) -> Result<(), ModelError> + 'a;

/// What is to be made.
pub(crate) struct Plan<'a> {
    /// What the file is called where it is kept, with a part of the stamp behind it.
    pub(crate) name: &'static str,
    /// What changes when its source does; without it nothing is kept.
    pub(crate) stamp: Option<String>,
    /// The fingerprint of its source, which is kept along.
    pub(crate) fingerprint: &'a dyn Fn() -> String,
    /// Bytes of the checkpoint that are read on when the pieces are ready.
    pub(crate) n_beside: u64,
    /// Bytes of each piece, in their order.
    pub(crate) lengths: Vec<usize>,
    /// Makes a piece; called once for each, in order.
    pub(crate) make: &'a mut Make<'a>,
}

/// Pieces that are ready.
#[derive(Debug)]
pub(crate) struct Prepared {
    all: Mmap,
    /// Where each piece begins, and where the last one ends.
    starts: Vec<usize>,
    pub(crate) residence: Residence,
    /// The source's fingerprint, where a file remembered it.
    pub(crate) fingerprint: Option<String>,
}

impl Prepared {
    /// Finds the plan's file, or makes it; in memory where it cannot be kept.
    ///
    /// # Errors
    /// What `make` returns; [`ModelError::Read`] when the system does not give the memory.
    pub(crate) fn new(
        mut plan: Plan<'_>,
        preparation: &Preparation<'_>,
    ) -> Result<Prepared, ModelError> {
        if let (Some(dir), Some(stamp)) = (preparation.dir, plan.stamp.clone()) {
            match file::find_or_make(dir, &stamp, &mut plan, preparation) {
                Ok(prepared) => return Ok(prepared),
                Err(Failure::NotMade(error)) => return Err(error),
                Err(Failure::NotKept(problem)) => {
                    (preparation.listener)(&Preparing::NotKept(problem));
                }
            }
        }
        Prepared::in_memory(plan, preparation)
    }

    fn in_memory(plan: Plan<'_>, preparation: &Preparation<'_>) -> Result<Prepared, ModelError> {
        let failed = |source| ModelError::Read { path: plan.name.into(), source };
        let starts = starts(0, &plan.lengths);
        let n_all = starts[plan.lengths.len()];
        // A map may not be empty.
        let mut map = MmapMut::map_anon(n_all.max(1)).map_err(failed)?;
        // Large pages where the system has them; it works without.
        let _ = map.advise(Advice::HugePage);
        for (idx, range) in starts.array_windows().enumerate() {
            let &[start, end] = range;
            (plan.make)(idx, &mut map[start..end])?;
            preparation.tell_made(end, n_all);
        }
        let all = map.make_read_only().map_err(failed)?;
        Ok(Prepared { all, starts, residence: Residence::Memory, fingerprint: None })
    }

    /// One piece.
    pub(crate) fn piece(&self, idx: usize) -> &[u8] {
        &self.all[self.starts[idx]..self.starts[idx + 1]]
    }
}

/// Where pieces begin, the first at `from`; behind them where the last one ends.
fn starts(from: usize, lengths: &[usize]) -> Vec<usize> {
    let mut starts = vec![from];
    for length in lengths {
        starts.push(starts[starts.len() - 1] + length);
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Borders of large pages and of chunks fall inside of pieces, between them and nowhere.
    const LENGTHS: [usize; 5] = [3 << 20, (3 << 20) - 4096, 5, (9 << 20) + 1, 100];

    /// Pieces that tell where each of their bytes belongs; kept in `dir` if there is one.
    fn prepared(dir: Option<&Path>, loading: Loading) -> Prepared {
        let plan = Plan {
            name: "test",
            stamp: Some("ab".repeat(32)),
            fingerprint: &|| "cd".repeat(32),
            n_beside: 0,
            lengths: LENGTHS.to_vec(),
            make: &mut |idx, out| {
                out.iter_mut().enumerate().for_each(|(at, byte)| *byte = (at % 251 + idx) as u8);
                Ok(())
            },
        };
        let pool = Pool::new(2);
        let preparation = Preparation { dir, loading, ..Preparation::in_memory(&pool) };
        Prepared::new(plan, &preparation).expect("there is memory")
    }

    #[test]
    fn pieces_larger_than_pages_are_the_same_made_mapped_and_loaded() {
        let dir = tempfile::tempdir().expect("a folder");
        let (kept, always) = (Some(dir.path()), Loading::Always { spare: 0 });
        let expected = prepared(None, Loading::Never);
        for (what, loading) in
            [("made", Loading::Never), ("mapped", Loading::Never), ("loaded", always)]
        {
            let found = prepared(kept, loading);
            let is_loaded = found.residence == Residence::Memory;
            assert_eq!(is_loaded, what == "loaded");
            for (idx, &n_bytes) in LENGTHS.iter().enumerate() {
                assert_eq!(found.piece(idx).len(), n_bytes);
                assert!(found.piece(idx) == expected.piece(idx), "{what}: piece {idx}");
            }
        }
    }
}
