//! The file of prepared matrices.
//!
//! ```text
//! magic, 16 bytes   layout, u32   pieces, u32   bytes of all pieces, u64
//! stamp and fingerprint of the source, 64 hex digits each
//! SHA-256 of the ends of all pieces and of the two, 32 bytes
//! zeros up to a page; then the pieces
//! ```
//!
//! It appears by renaming when all of it is on the disk, so nobody sees half of one. Opening compares the head and the
//! ends of the pieces, which is where a disk that lost bytes would have lost some.

use std::fs::{self, File, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::load::Mapped;
use super::pages::LARGE_PAGE;
use super::{KeepProblem, Plan, Preparation, Prepared, Preparing, starts};
use crate::error::ModelError;

const MAGIC: &[u8; 16] = b"safeguard tiles\n";
/// Raised when pieces are made differently.
const LAYOUT: u32 = 1;
/// Bytes before the first piece: a page, so that pieces begin where memory's lines do.
const HEAD: usize = 4096;
/// Where the head has the fingerprint.
const FINGERPRINT: Range<usize> = 96..160;
/// Bytes of a piece that are compared when the file is opened.
const END: usize = 4096;
/// What is left free on a disk.
const SPARE: u64 = 1 << 30;

/// Why there is no file.
pub(super) enum Failure {
    /// It cannot be kept.
    NotKept(KeepProblem),
    /// Nothing can be made of the source.
    NotMade(ModelError),
}

impl From<KeepProblem> for Failure {
    fn from(problem: KeepProblem) -> Failure {
        Failure::NotKept(problem)
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Failure {
        Failure::NotMade(error)
    }
}

/// The plan's pieces from its file in `dir`, which is made if it is not there or is something else's.
///
/// # Errors
/// [`Failure`].
pub(super) fn find_or_make(
    dir: &Path,
    stamp: &str,
    plan: &mut Plan<'_>,
    preparation: &Preparation<'_>,
) -> Result<Prepared, Failure> {
    let path = dir.join(file_name(plan.name, stamp));
    // One that becomes shorter while it is loaded is made anew too.
    if let Some(prepared) =
        open(&path, stamp, plan).and_then(|found| found.hold(plan, preparation).ok())
    {
        return Ok(prepared);
    }
    let found = {
        let _lock = lock(dir, &path, preparation)?;
        // Another process may have made it meanwhile.
        match open(&path, stamp, plan) {
            Some(found) => found,
            None => make(&path, stamp, plan, preparation)?,
        }
    };
    Ok(found.hold(plan, preparation).map_err(at(&path))?)
}

/// A file that is what it should be.
struct Found {
    mapped: Mapped,
    starts: Vec<usize>,
    fingerprint: String,
}

impl Found {
    fn hold(self, plan: &Plan<'_>, preparation: &Preparation<'_>) -> io::Result<Prepared> {
        let Found { mapped, starts, fingerprint } = self;
        let (all, residence) = mapped.hold(plan.n_beside, preparation)?;
        Ok(Prepared { all, starts, residence, fingerprint: Some(fingerprint) })
    }
}

/// The beginning of the stamp tells the files of different weights apart; the head has all of it.
fn file_name(name: &str, stamp: &str) -> String {
    let stamp: String = stamp.chars().take(16).collect();
    format!("{name}-v{LAYOUT}-{stamp}.tiles")
}

fn open(path: &Path, stamp: &str, plan: &Plan<'_>) -> Option<Found> {
    let mapped = Mapped::new(File::open(path).ok()?).ok()?;
    let starts = starts(HEAD, &plan.lengths);
    let all = &mapped.map;
    if all.len() != starts[plan.lengths.len()] {
        return None;
    }
    let mut ends = Sha256::new();
    for range in starts.array_windows() {
        let &[start, end] = range;
        ends.update(end_of(&all[start..end]));
    }
    let fingerprint = std::str::from_utf8(&all[FINGERPRINT]).ok()?.to_owned();
    let is_as_written = all[..HEAD] == head(stamp, &fingerprint, plan, ends)[..];
    is_as_written.then_some(Found { mapped, starts, fingerprint })
}

/// Waits until no other process makes the file, and keeps others waiting while the result lives. Whoever waited may then
/// load at the same time as others.
fn lock(dir: &Path, path: &Path, preparation: &Preparation<'_>) -> Result<File, KeepProblem> {
    let path = path.with_extension("lock");
    fs::create_dir_all(dir).map_err(at(dir))?;
    let mut options = File::options();
    let options = options.write(true).create(true).truncate(false);
    let lock = options.open(&path).map_err(at(&path))?;
    match lock.try_lock() {
        Ok(()) => return Ok(lock),
        Err(TryLockError::WouldBlock) => (preparation.listener)(&Preparing::Waiting),
        Err(TryLockError::Error(error)) => return Err(at(&path)(error)),
    }
    lock.lock().map_err(at(&path))?;
    Ok(lock)
}

fn make(
    path: &Path,
    stamp: &str,
    plan: &mut Plan<'_>,
    preparation: &Preparation<'_>,
) -> Result<Found, Failure> {
    let unfinished = path.with_extension("unfinished");
    let made = write(path, &unfinished, stamp, plan, preparation);
    if made.is_err() {
        // Nothing is lost with it, and it may be large.
        let _ = fs::remove_file(&unfinished);
    }
    made?;
    let damaged = || at(path)(io::Error::other("it is not what was written"));
    Ok(open(path, stamp, plan).ok_or_else(damaged)?)
}

fn write(
    path: &Path,
    unfinished: &Path,
    stamp: &str,
    plan: &mut Plan<'_>,
    preparation: &Preparation<'_>,
) -> Result<(), Failure> {
    let n_all: usize = plan.lengths.iter().sum();
    let mut file = begin(unfinished, n_all as u64)?;
    let (mut ends, mut n_made) = (Sha256::new(), 0);
    let mut waiting = vec![0; HEAD];
    for idx in 0..plan.lengths.len() {
        let start = waiting.len();
        waiting.resize(start + plan.lengths[idx], 0);
        let piece = &mut waiting[start..];
        (plan.make)(idx, piece)?;
        ends.update(end_of(piece));
        n_made += piece.len();
        // What is written in whole large pages is kept in memory in such, where the file system has them.
        let n_whole = waiting.len() / LARGE_PAGE * LARGE_PAGE;
        file.write_all(&waiting[..n_whole]).map_err(at(unfinished))?;
        waiting.drain(..n_whole);
        preparation.tell_made(n_made, n_all);
    }
    file.write_all(&waiting).map_err(at(unfinished))?;
    let head = head(stamp, &(plan.fingerprint)(), plan, ends);
    let begun = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&head));
    begun.and_then(|()| file.sync_all()).map_err(at(unfinished))?;
    Ok(fs::rename(unfinished, path).map_err(at(path))?)
}

/// An empty file on a disk with room for so many bytes.
fn begin(unfinished: &Path, n_bytes: u64) -> Result<File, KeepProblem> {
    // One that was left behind takes room too.
    let file = File::create(unfinished).map_err(at(unfinished))?;
    let disk = rustix::fs::fstatvfs(&file).map_err(io::Error::from).map_err(at(unfinished))?;
    let (n_free, n_needed) = (disk.f_bavail.saturating_mul(disk.f_frsize), n_bytes + SPARE);
    if n_free < n_needed {
        return Err(KeepProblem::NoRoom { path: unfinished.to_owned(), n_needed, n_free });
    }
    Ok(file)
}

/// Says where the system refused.
fn at(path: &Path) -> impl FnOnce(io::Error) -> KeepProblem + use<> {
    let path = PathBuf::from(path);
    move |reason| KeepProblem::Io { path, reason }
}

fn end_of(piece: &[u8]) -> &[u8] {
    &piece[piece.len().saturating_sub(END)..]
}

fn head(stamp: &str, fingerprint: &str, plan: &Plan<'_>, mut ends: Sha256) -> Vec<u8> {
    let n_all: usize = plan.lengths.iter().sum();
    let mut head = MAGIC.to_vec();
    head.extend(LAYOUT.to_le_bytes());
    head.extend((plan.lengths.len() as u32).to_le_bytes());
    head.extend((n_all as u64).to_le_bytes());
    head.extend(stamp.bytes().chain(fingerprint.bytes()));
    ends.update(stamp);
    ends.update(fingerprint);
    head.extend(ends.finalize());
    head.resize(HEAD, 0);
    head
}
