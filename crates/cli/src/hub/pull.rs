//! From a name to a finished snapshot: list, measure, make sure of the room, fetch, check, publish.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use indicatif::DecimalBytes;

use crate::hub::cache::{Cache, RepoDir};
use crate::hub::client::{Client, Facts, Listing};
use crate::hub::download::{Source, download};
use crate::hub::error::HubError;
use crate::hub::files;
use crate::hub::name::{Commit, ModelName};
use crate::hub::progress::Progress;
use crate::hub::scan::{self, State};
use crate::hub::settings::Access;

/// Connections at a time. One is often slower than the line, many are refused by mirrors.
const N_CONNECTIONS: usize = 4;

/// A model that is all in the cache now.
#[derive(Debug)]
pub(crate) struct Pulled {
    pub(crate) path: PathBuf,
    /// Unknown when the cache alone was asked.
    pub(crate) commit: Option<Commit>,
    pub(crate) n_files: usize,
    /// Size of all files.
    pub(crate) n_bytes: u64,
    /// Bytes that had to come over the network.
    pub(crate) n_fetched: u64,
}

/// Brings a model into the cache, or up to date.
///
/// # Errors
/// [`HubError`]; what has arrived stays, and the next call goes on from there.
pub(crate) fn pull(
    access: &Access,
    cache: &Cache,
    name: &ModelName,
    progress: &Progress,
) -> Result<Pulled, HubError> {
    if access.offline {
        return offline(cache, name, progress);
    }
    let client = Client::new(access, progress.clone())?;
    let Listing { commit, files } = client.list(name)?;
    let repo = cache.repo(&name.repo);
    let job = Job { client: &client, name, commit: &commit, repo: &repo };
    let files = job.measure(files::wanted(&name.repo, files)?)?;
    let n_bytes = total(files.iter().map(|file| file.facts.n_bytes));
    let missing = job.missing(&files);
    let n_here = job.n_here(&missing);
    let n_missing = total(missing.iter().map(|file| file.facts.n_bytes));
    check_room(&repo.dir, n_missing.saturating_sub(n_here))?;
    if !missing.is_empty() {
        let size = DecimalBytes(n_missing - n_here);
        progress.note(&format!("fetching {size} into {}", repo.dir.display()));
    }
    progress.start(n_missing, n_here);
    let done = job.fetch(&missing);
    progress.finish();
    done?;
    let path = repo.snapshot(&commit);
    if let State::Partial { missing } = scan::state(&path) {
        return Err(HubError::NotWhole { repo: name.repo.clone(), missing });
    }
    // Last, so that a revision's earlier snapshot serves until this one is whole.
    repo.set_commit(&name.revision, &commit)?;
    let (n_files, n_fetched) = (files.len(), n_missing - n_here);
    Ok(Pulled { path, commit: Some(commit), n_files, n_bytes, n_fetched })
}

/// What the cache has, without the network.
fn offline(cache: &Cache, name: &ModelName, progress: &Progress) -> Result<Pulled, HubError> {
    match scan::find(cache, name) {
        Ok(path) => {
            progress
                .note("HF_HUB_OFFLINE is set: this is the copy in the cache, maybe not the newest");
            let commit = cache.repo(&name.repo).commit(&name.revision);
            let (n_files, n_bytes) = scan::size(&path)?;
            Ok(Pulled { path, commit, n_files, n_bytes, n_fetched: 0 })
        }
        Err(HubError::NotCached { name, .. } | HubError::Partial { name, .. }) => {
            Err(HubError::Offline { name })
        }
        Err(error) => Err(error),
    }
}

/// A file that the model needs, and what it must be.
#[derive(Debug)]
struct Wanted {
    file: String,
    facts: Facts,
}

/// One commit on its way into one repository's folder.
struct Job<'a> {
    client: &'a Client,
    name: &'a ModelName,
    commit: &'a Commit,
    repo: &'a RepoDir,
}

impl Job<'_> {
    fn measure(&self, files: Vec<String>) -> Result<Vec<Wanted>, HubError> {
        let measured = files.into_iter().map(|file| {
            let facts = self.client.facts(self.name, self.commit, &file)?;
            Ok(Wanted { file, facts })
        });
        measured.collect()
    }

    /// The files that the snapshot does not have, small ones first: with the configuration and the
    /// index there, `model list` can say what else is missing.
    fn missing<'a>(&self, files: &'a [Wanted]) -> Vec<&'a Wanted> {
        let absent = |file: &&Wanted| !self.repo.has(self.commit, &file.file, file.facts.n_bytes);
        let mut missing: Vec<&Wanted> = files.iter().filter(absent).collect();
        missing.sort_by_key(|file| file.facts.n_bytes);
        missing
    }

    /// Bytes of the missing files that are on disk already, as blobs or parts of blobs.
    fn n_here(&self, missing: &[&Wanted]) -> u64 {
        let here = missing.iter().map(|Wanted { facts, .. }| {
            let places = [self.repo.blob(&facts.checksum), self.repo.incomplete(&facts.checksum)];
            let here = places.iter().find_map(|path| Some(fs::metadata(path).ok()?.len()));
            here.unwrap_or(0).min(facts.n_bytes)
        });
        total(here)
    }

    /// Fetches all files over a few connections. The first failure stops the others.
    fn fetch(&self, missing: &[&Wanted]) -> Result<(), HubError> {
        fs::create_dir_all(self.repo.blobs()).map_err(HubError::io(&self.repo.blobs()))?;
        let next = AtomicUsize::new(0);
        let n_done = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let failure = Mutex::new(None);
        let work = || {
            while let Some(file) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = self.fetch_one(file, &stop) {
                    stop.store(true, Ordering::Relaxed);
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    return;
                }
                let n_done = 1 + n_done.fetch_add(1, Ordering::Relaxed);
                self.client.progress().files(n_done, missing.len());
            }
        };
        thread::scope(|scope| {
            for _ in 0..N_CONNECTIONS.min(missing.len()) {
                scope.spawn(work);
            }
        });
        failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    fn fetch_one(&self, wanted: &Wanted, stop: &AtomicBool) -> Result<(), HubError> {
        let Wanted { file, facts } = wanted;
        let checksum = &facts.checksum;
        let wait = || {
            let note = format!("another process is fetching {file}; waiting for it");
            self.client.progress().note(&note);
        };
        let lock = self.repo.lock(checksum, wait)?;
        let blob = self.repo.blob(checksum);
        let is_new = !fs::metadata(&blob).is_ok_and(|found| found.len() == facts.n_bytes);
        if is_new {
            let (client, name, commit) = (self.client, self.name, self.commit);
            let incomplete = self.repo.incomplete(checksum);
            let source = Source { client, name, commit, file, facts, stop };
            download(source, &incomplete)?;
            fs::rename(&incomplete, &blob).map_err(HubError::io(&blob))?;
        }
        self.repo.place(checksum, self.commit, file, is_new)?;
        drop(lock);
        Ok(())
    }
}

/// Refuses to begin what cannot end: the disk must have room for all that is missing.
fn check_room(path: &Path, needed: u64) -> Result<(), HubError> {
    // The cache may not exist yet; its disk is that of the nearest folder above.
    let absolute = std::path::absolute(path).map_err(HubError::io(path))?;
    let existing = absolute.ancestors().find(|folder| folder.exists()).unwrap_or(&absolute);
    let facts =
        rustix::fs::statvfs(existing).map_err(|error| HubError::io(existing)(error.into()))?;
    let free = facts.f_bavail.saturating_mul(facts.f_frsize);
    if needed > free {
        return Err(HubError::NoRoom { path: existing.to_owned(), needed, free });
    }
    Ok(())
}

/// The sum of sizes that a server names, which may be anything.
fn total(sizes: impl Iterator<Item = u64>) -> u64 {
    sizes.fold(0, u64::saturating_add)
}
