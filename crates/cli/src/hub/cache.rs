//! The cache on disk, in the layout of `huggingface_hub`.
//!
//! ```text
//! models--ORG--NAME/blobs/CHECKSUM                  the bytes, once
//!                   blobs/CHECKSUM.incomplete       the first of them
//!                   snapshots/COMMIT/FILE -> ../../blobs/CHECKSUM
//!                   refs/REVISION                   the commit it was at the last pull
//! .locks/models--ORG--NAME/CHECKSUM.lock            held while a blob is fetched
//! ```
//!
//! Files and references appear by renaming only, so nobody ever reads half of one.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::hub::checksum::Checksum;
use crate::hub::error::HubError;
use crate::hub::name::{Commit, Repo, Revision};

/// The folder of all repositories.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    root: PathBuf,
    symlinks: bool,
}

/// One repository's folder.
#[derive(Clone, Debug)]
pub(crate) struct RepoDir {
    pub(crate) dir: PathBuf,
    locks: PathBuf,
    symlinks: bool,
}

impl Cache {
    /// Without `symlinks`, snapshots hold the files themselves.
    pub(crate) fn new(root: PathBuf, symlinks: bool) -> Cache {
        Cache { root, symlinks }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn repo(&self, repo: &Repo) -> RepoDir {
        let folder = repo.folder();
        RepoDir {
            dir: self.root.join(&folder),
            locks: self.root.join(".locks").join(folder),
            symlinks: self.symlinks,
        }
    }
}

impl RepoDir {
    pub(crate) fn blobs(&self) -> PathBuf {
        self.dir.join("blobs")
    }

    pub(crate) fn blob(&self, checksum: &Checksum) -> PathBuf {
        self.blobs().join(checksum.as_str())
    }

    pub(crate) fn incomplete(&self, checksum: &Checksum) -> PathBuf {
        self.blobs().join(format!("{checksum}.incomplete"))
    }

    pub(crate) fn snapshots(&self) -> PathBuf {
        self.dir.join("snapshots")
    }

    pub(crate) fn snapshot(&self, commit: &Commit) -> PathBuf {
        self.snapshots().join(commit.as_str())
    }

    pub(crate) fn refs(&self) -> PathBuf {
        self.dir.join("refs")
    }

    /// The commit that a revision was at the last pull.
    pub(crate) fn commit(&self, revision: &Revision) -> Option<Commit> {
        let named = || fs::read_to_string(self.refs().join(revision.as_str())).ok();
        revision.as_commit().or_else(|| Commit::parse(named()?.trim()))
    }

    /// Remembers which commit a revision is.
    pub(crate) fn set_commit(&self, revision: &Revision, commit: &Commit) -> Result<(), HubError> {
        if revision.as_commit().is_some() || self.commit(revision).as_ref() == Some(commit) {
            return Ok(());
        }
        let path = self.refs().join(revision.as_str());
        create_parent(&path)?;
        // No name of a revision ends so, hence this is nobody's reference.
        let beside = self.refs().join(format!(".{commit}.{}", std::process::id()));
        fs::write(&beside, commit.as_str()).map_err(HubError::io(&beside))?;
        fs::rename(&beside, &path).map_err(HubError::io(&path))
    }

    /// Waits until no other process fetches this blob; the lock ends with the returned file.
    pub(crate) fn lock(
        &self,
        checksum: &Checksum,
        on_wait: impl FnOnce(),
    ) -> Result<File, HubError> {
        let path = self.locks.join(format!("{checksum}.lock"));
        create_parent(&path)?;
        let file = File::options().append(true).create(true).open(&path);
        let file = file.map_err(HubError::io(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            // Some network file systems have no locks; the checksum still finds what they let through.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(HubError::io(&path)(error)),
            Err(TryLockError::WouldBlock) => {
                on_wait();
                file.lock().map_err(HubError::io(&path))?;
            }
        }
        Ok(file)
    }

    /// Whether a snapshot has this file, whole.
    pub(crate) fn has(&self, commit: &Commit, file: &str, n_bytes: u64) -> bool {
        fs::metadata(self.snapshot(commit).join(file)).is_ok_and(|facts| facts.len() == n_bytes)
    }

    /// Gives a snapshot the file whose bytes are the blob's; `is_new` if no other snapshot has them.
    pub(crate) fn place(
        &self,
        checksum: &Checksum,
        commit: &Commit,
        file: &str,
        is_new: bool,
    ) -> Result<(), HubError> {
        let blob = self.blob(checksum);
        let path = self.snapshot(commit).join(file);
        create_parent(&path)?;
        let beside = path.with_file_name(format!(".{checksum}.{}", std::process::id()));
        let target = Path::new("../../blobs").join(checksum.as_str());
        if !self.symlinks || symlink(target, &beside).is_err() {
            if is_new {
                fs::rename(&blob, &beside).map_err(HubError::io(&beside))?;
            } else {
                fs::copy(&blob, &beside).map_err(HubError::io(&beside))?;
            }
        }
        fs::rename(&beside, &path).map_err(HubError::io(&path))
    }
}

pub(crate) fn create_parent(path: &Path) -> Result<(), HubError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(HubError::io(parent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::ModelName;

    const COMMIT: &str = "0123456789012345678901234567890123456789";
    const OTHER: &str = "9876543210987654321098765432109876543210";
    const BLOB: &str = "ce013625030ba8dba906f756967f9e9ca394464a";

    fn repo_in(root: &Path, symlinks: bool) -> RepoDir {
        let name: ModelName = "a/b".parse().unwrap();
        let repo = Cache::new(root.to_owned(), symlinks).repo(&name.repo);
        fs::create_dir_all(repo.blobs()).unwrap();
        fs::write(repo.blobs().join(BLOB), "hello\n").unwrap();
        repo
    }

    #[test]
    fn snapshots_link_to_blobs_or_hold_the_bytes() {
        for symlinks in [true, false] {
            let root = tempfile::tempdir().unwrap();
            let repo = repo_in(root.path(), symlinks);
            let checksum = Checksum::from_etag(BLOB).unwrap();
            // The second of two snapshots with the same file: a blob that is not new stays.
            for (commit, is_new) in [(COMMIT, false), (OTHER, true)] {
                let commit = Commit::parse(commit).unwrap();
                assert!(!repo.has(&commit, "config.json", 6));
                repo.place(&checksum, &commit, "config.json", is_new).unwrap();
                assert!(
                    repo.has(&commit, "config.json", 6) && !repo.has(&commit, "config.json", 7)
                );
                let path = repo.snapshot(&commit).join("config.json");
                assert_eq!(fs::read_to_string(&path).unwrap(), "hello\n");
                assert_eq!(fs::symlink_metadata(&path).unwrap().is_symlink(), symlinks);
                assert_eq!(fs::read_dir(repo.snapshot(&commit)).unwrap().count(), 1);
            }
            assert_eq!(repo.blob(&checksum).exists(), symlinks);
        }
    }

    #[test]
    fn references_name_commits() {
        let root = tempfile::tempdir().unwrap();
        let repo = repo_in(root.path(), true);
        let commit = Commit::parse(COMMIT).unwrap();
        for name in ["a/b", "a/b@refs/pr/1"] {
            let revision = name.parse::<ModelName>().unwrap().revision;
            assert_eq!(repo.commit(&revision), None);
            repo.set_commit(&revision, &commit).unwrap();
            assert_eq!(repo.commit(&revision), Some(commit.clone()));
        }
        fs::write(repo.refs().join("bad"), "../../etc").unwrap();
        assert_eq!(repo.commit(&"a/b@bad".parse::<ModelName>().unwrap().revision), None);
    }

    #[test]
    fn a_second_process_waits_for_the_lock() {
        let root = tempfile::tempdir().unwrap();
        let repo = repo_in(root.path(), true);
        let checksum = Checksum::from_etag(BLOB).unwrap();
        let held = repo.lock(&checksum, || panic!("nobody holds it")).unwrap();
        let (told, waits) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| repo.lock(&checksum, || told.send(()).unwrap()).unwrap());
            waits.recv().unwrap();
            drop(held);
        });
    }
}
