//! What is in the cache: models, revisions, and whether all of each is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::hub::cache::{Cache, RepoDir};
use crate::hub::error::HubError;
use crate::hub::files::{CONFIG, INDEX, SINGLE, TOKENIZER, is_plain};
use crate::hub::name::{Commit, ModelName, Repo};

/// Longest `config.json` or index that is read; the 120b's index has 50 kB.
const MAX_JSON: u64 = 64 << 20;
/// The architecture that this program runs, as `config.json` names it.
const MODEL_TYPE: &str = "gpt_oss";

/// One snapshot in the cache, or a repository of which no snapshot has begun.
#[derive(Debug)]
pub(crate) struct CachedModel {
    pub(crate) repo: Repo,
    pub(crate) commit: Option<Commit>,
    /// Branches and tags that were this commit at the last pull.
    pub(crate) revisions: Vec<String>,
    pub(crate) path: PathBuf,
    pub(crate) n_files: usize,
    /// Bytes on disk, unfinished files included.
    pub(crate) n_bytes: u64,
    pub(crate) state: State,
}

/// Whether a snapshot can be opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Every file that the model needs is there.
    Complete,
    /// Some files are missing.
    Partial {
        /// Their names.
        missing: Vec<String>,
    },
}

/// The gpt-oss models in the cache, complete or begun, sorted by name; and how many other models
/// are there.
///
/// # Errors
/// [`HubError::Io`] when a folder cannot be read.
pub(crate) fn scan(cache: &Cache) -> Result<(Vec<CachedModel>, usize), HubError> {
    let mut models = Vec::new();
    let mut n_others = 0;
    for folder in names_in(cache.root())? {
        let Some(repo) = Repo::of_folder(&folder) else { continue };
        let found = scan_repo(cache, &repo)?;
        n_others += usize::from(found.is_none());
        models.extend(found.into_iter().flatten());
    }
    models.sort_by(|a, b| (&a.repo, &a.commit).cmp(&(&b.repo, &b.commit)));
    Ok((models, n_others))
}

/// The folder of a model, if all of it is in the cache.
///
/// # Errors
/// [`HubError::NotCached`] or [`HubError::Partial`].
pub(crate) fn find(cache: &Cache, name: &ModelName) -> Result<PathBuf, HubError> {
    let repo = cache.repo(&name.repo);
    let snapshot = match repo.commit(&name.revision) {
        Some(commit) => Some(repo.snapshot(&commit)),
        // A first pull that was cut has no reference yet.
        None => begun(&repo)?,
    };
    match snapshot.filter(|snapshot| snapshot.is_dir()).map(|path| (state(&path), path)) {
        Some((State::Complete, path)) => Ok(path),
        Some((State::Partial { missing }, _)) => {
            Err(HubError::Partial { name: name.clone(), missing })
        }
        None => Err(HubError::NotCached { name: name.clone(), cache: cache.root().to_owned() }),
    }
}

/// Whether a snapshot's folder has every file that the model needs.
pub(crate) fn state(snapshot: &Path) -> State {
    let mut needed: BTreeSet<String> = [CONFIG.to_owned(), TOKENIZER.to_owned()].into();
    match read_json::<Index>(&snapshot.join(INDEX)) {
        Some(index) => needed.extend(index.weight_map.into_values().filter(|name| is_plain(name))),
        None => drop(needed.insert(SINGLE.to_owned())),
    }
    // `is_file` follows links, so one that leads nowhere is missing too.
    let missing: Vec<String> =
        needed.into_iter().filter(|name| !snapshot.join(name).is_file()).collect();
    if missing.is_empty() { State::Complete } else { State::Partial { missing } }
}

/// The architecture that a folder's `config.json` names.
fn model_type(folder: &Path) -> Option<String> {
    let config: Value = read_json(&folder.join(CONFIG))?;
    Some(config.get("model_type")?.as_str()?.to_owned())
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The snapshots of one repository; `None` if they are of another architecture.
fn scan_repo(cache: &Cache, repo: &Repo) -> Result<Option<Vec<CachedModel>>, HubError> {
    let dir = cache.repo(repo);
    let revisions = revisions(&dir)?;
    let mut models = Vec::new();
    for commit in commits(&dir)? {
        let path = dir.snapshot(&commit);
        if model_type(&path).is_some_and(|found| found != MODEL_TYPE) {
            return Ok(None);
        }
        let (n_files, n_bytes) = size(&path)?;
        let named = revisions.iter().filter(|(_, of)| *of == commit);
        models.push(CachedModel {
            repo: repo.clone(),
            revisions: named.map(|(name, _)| name.clone()).collect(),
            n_files,
            n_bytes,
            state: state(&path),
            commit: Some(commit),
            path,
        });
    }
    let unfinished = unfinished(&dir)?;
    if models.is_empty() && unfinished > 0 {
        models.push(CachedModel {
            repo: repo.clone(),
            commit: None,
            revisions: Vec::new(),
            path: dir.dir.clone(),
            n_files: 0,
            n_bytes: unfinished,
            state: state(&dir.dir),
        });
    } else if let Some(model) = models.iter_mut().find(|model| model.state != State::Complete) {
        model.n_bytes += unfinished;
    }
    Ok(Some(models))
}

/// A snapshot that has no reference because its pull has not ended.
fn begun(repo: &RepoDir) -> Result<Option<PathBuf>, HubError> {
    let snapshots = commits(repo)?.into_iter().map(|commit| repo.snapshot(&commit));
    Ok(snapshots.into_iter().find(|path| state(path) != State::Complete))
}

fn commits(repo: &RepoDir) -> Result<Vec<Commit>, HubError> {
    let names = names_in(&repo.snapshots())?;
    Ok(names.iter().filter_map(|name| Commit::parse(name)).collect())
}

/// Branches and tags with their commits; a reference's name may have slashes.
fn revisions(repo: &RepoDir) -> Result<Vec<(String, Commit)>, HubError> {
    let root = repo.refs();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for name in names_in(&folder)? {
            let path = folder.join(name);
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let commit = fs::read_to_string(&path).ok().and_then(|text| Commit::parse(text.trim()));
            let name = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned();
            found.extend(commit.filter(|_| !name.starts_with('.')).map(|commit| (name, commit)));
        }
    }
    found.sort();
    Ok(found)
}

/// Endings of what this program keeps beside a checkpoint: prepared weights, and what belongs to making them.
const PREPARED: [&str; 3] = ["tiles", "lock", "unfinished"];

/// Downloaded files of a snapshot and their bytes, links followed.
pub(crate) fn size(snapshot: &Path) -> Result<(usize, u64), HubError> {
    let mut paths: Vec<PathBuf> =
        names_in(snapshot)?.into_iter().map(|name| snapshot.join(name)).collect();
    paths.retain(|path| {
        path.extension().is_none_or(|ending| !PREPARED.iter().any(|p| ending == *p))
    });
    let facts = paths.iter().filter_map(|path| fs::metadata(path).ok());
    let sizes: Vec<u64> = facts.filter(fs::Metadata::is_file).map(|facts| facts.len()).collect();
    Ok((sizes.len(), sizes.iter().sum()))
}

/// Bytes of files that are not whole yet.
fn unfinished(repo: &RepoDir) -> Result<u64, HubError> {
    let names = names_in(&repo.blobs())?.into_iter().filter(|name| name.ends_with(".incomplete"));
    Ok(names.filter_map(|name| fs::metadata(repo.blobs().join(name)).ok()).map(|f| f.len()).sum())
}

/// The names in a folder, sorted; none if there is no such folder.
fn names_in(folder: &Path) -> Result<Vec<String>, HubError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(HubError::io(folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(HubError::io(folder))?;
        names.extend(entry.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// A JSON file, or nothing: what is not there or not readable cannot be used either way.
fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    let mut text = Vec::new();
    File::open(path).ok()?.take(MAX_JSON).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}
