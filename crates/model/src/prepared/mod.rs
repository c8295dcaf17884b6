//! Matrices in the form that products want, made once from what a checkpoint stores: in memory, or in a file that later
//! runs map.

mod file;

use std::io;
use std::path::{Path, PathBuf};

use kernels::Pool;
use memmap2::{Advice, MmapMut};

use crate::checkpoint::Bytes;
use crate::error::ModelError;
use file::Failure;

/// How matrices are made ready for products.
#[derive(Clone, Copy)]
pub struct Preparation<'a> {
    /// The threads that do it.
    pub pool: &'a Pool,
    /// The folder where the result is kept for later runs, which then map it; without one it is made in memory every time.
    pub dir: Option<&'a Path>,
    /// Whom to tell how far it is.
    pub listener: &'a dyn Fn(&Preparing),
}

/// How far a preparation is. A file that is found says nothing.
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
        Preparation { pool, dir: None, listener: &|_| () }
    }

    fn tell_made(&self, n_bytes: usize, n_all: usize) {
        (self.listener)(&Preparing::Made { n_bytes: n_bytes as u64, n_all: n_all as u64 });
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
    /// Bytes of each piece, in their order.
    pub(crate) lengths: Vec<usize>,
    /// Makes a piece; called once for each, in order.
    pub(crate) make: &'a mut Make<'a>,
}

/// Pieces that are ready.
#[derive(Debug)]
pub(crate) struct Prepared {
    bytes: Bytes,
    /// Where each piece begins, and where the last one ends.
    starts: Vec<usize>,
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
        let bytes = Bytes::Mapped(map.make_read_only().map_err(failed)?);
        Ok(Prepared { bytes, starts, fingerprint: None })
    }

    /// One piece.
    pub(crate) fn piece(&self, idx: usize) -> &[u8] {
        &self.bytes.as_slice()[self.starts[idx]..self.starts[idx + 1]]
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
