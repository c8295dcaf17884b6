//! The policies in service: read from a folder, and read again when it changes.
//!
//! A policy is `NAME/policy.md` or `NAME.md`. An edit that cannot be read leaves the last good version in
//! service and becomes a [`Fault`], which the log, `/readyz` and a metric tell; a file that is removed leaves
//! the service.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use policy::{Policy, PolicyError};

use crate::error::ServerError;

/// Where policies come from.
#[derive(Clone, Debug)]
pub enum PolicySource {
    /// A folder, followed while the service runs.
    Folder(PathBuf),
    /// Names and files' bytes of these, as they are.
    Fixed(Vec<(String, Vec<u8>)>),
}

/// A policy's file that cannot be served as it is now.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: String,
    /// Whether an earlier version of it goes on.
    pub is_served: bool,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.problem)
    }
}

/// What is in service at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Served {
    pub(crate) policies: BTreeMap<String, Shelved>,
    pub(crate) faults: Vec<Fault>,
    /// Whether whoever may use these may bring none of their own.
    pub(crate) is_bound: bool,
}

/// A policy in service, with the bytes of its file.
#[derive(Clone, Debug)]
pub(crate) struct Shelved {
    pub(crate) policy: Arc<Policy>,
    pub(crate) bytes: Arc<[u8]>,
}

impl Shelved {
    /// # Errors
    /// As [`Policy::parse`].
    pub(crate) fn parse(name: &str, bytes: &[u8]) -> Result<Shelved, PolicyError> {
        let policy = Arc::new(Policy::parse(name, bytes)?);
        Ok(Shelved { policy, bytes: bytes.into() })
    }
}

impl Deref for Shelved {
    type Target = Policy;

    fn deref(&self) -> &Policy {
        &self.policy
    }
}

/// The policies in service.
#[derive(Debug)]
pub(crate) struct Shelf {
    folder: Option<PathBuf>,
    served: RwLock<Arc<Served>>,
}

/// What a look at the folder changed, for the log.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// New policies and new versions.
    pub(crate) loaded: Vec<Shelved>,
    pub(crate) removed: Vec<String>,
    /// Faults that were not there before.
    pub(crate) faults: Vec<Fault>,
}

impl Shelf {
    /// Reads all policies.
    ///
    /// # Errors
    /// [`ServerError::Folder`], or [`ServerError::Policy`] for the first that cannot be read: at the start
    /// there is no last good version.
    pub(crate) fn open(source: PolicySource) -> Result<Shelf, ServerError> {
        let (folder, served) = match source {
            PolicySource::Fixed(policies) => {
                let read = |(name, bytes): (String, Vec<u8>)| {
                    let file = PathBuf::from(&name);
                    let shelved = parse(&name, &bytes).map_err(|problem| {
                        ServerError::Policy(Fault { file, problem, is_served: false })
                    })?;
                    Ok((name, shelved))
                };
                let policies =
                    policies.into_iter().map(read).collect::<Result<_, ServerError>>()?;
                (None, Served { policies, ..Served::default() })
            }
            PolicySource::Folder(folder) => {
                let served = read(&folder, &Served::default())?;
                if let Some(fault) = served.faults.into_iter().next() {
                    return Err(ServerError::Policy(fault));
                }
                (Some(folder), Served { policies: served.policies, ..Served::default() })
            }
        };
        Ok(Shelf { folder, served: RwLock::new(Arc::new(served)) })
    }

    /// What of the folder is in service now.
    pub(crate) fn folder(&self) -> Arc<Served> {
        Arc::clone(&self.served.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at the folder again. It blocks on the disk.
    pub(crate) fn look_again(&self) -> Changes {
        let Some(folder) = &self.folder else { return Changes::default() };
        let before = self.folder();
        let after = read(folder, &before).unwrap_or_else(|error| Served {
            policies: before.policies.clone(),
            faults: vec![Fault {
                file: folder.clone(),
                problem: error.to_string(),
                is_served: true,
            }],
            is_bound: false,
        });
        let changes = changes(&before, &after);
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(after);
        changes
    }
}

fn changes(before: &Served, after: &Served) -> Changes {
    let is_new = |policy: &&Shelved| {
        before.policies.get(&policy.name).is_none_or(|earlier| earlier.id != policy.id)
    };
    let is_known = |fault: &&Fault| {
        !before.faults.iter().any(|it| it.file == fault.file && it.problem == fault.problem)
    };
    Changes {
        loaded: after.policies.values().filter(is_new).cloned().collect(),
        removed: before
            .policies
            .keys()
            .filter(|name| !after.policies.contains_key(*name))
            .cloned()
            .collect(),
        faults: after.faults.iter().filter(is_known).cloned().collect(),
    }
}

/// Reads the folder; what cannot be read is a fault, and stays what it was `before`.
fn read(folder: &Path, before: &Served) -> Result<Served, ServerError> {
    let unreadable = |source| ServerError::Folder { folder: folder.to_owned(), source };
    let mut served = Served::default();
    for (name, file) in files(folder).map_err(unreadable)? {
        let earlier = before.policies.get(&name);
        match read_one(&name, &file, earlier) {
            Ok(_) if served.policies.contains_key(&name) => served.faults.push(Fault {
                problem: format!("there is another policy called {name}"),
                file,
                is_served: true,
            }),
            Ok(policy) => drop(served.policies.insert(name, policy)),
            Err(problem) => {
                served.faults.push(Fault { file, problem, is_served: earlier.is_some() });
                if let Some(earlier) = earlier {
                    served.policies.entry(name).or_insert_with(|| earlier.clone());
                }
            }
        }
    }
    Ok(served)
}

/// All policies of a folder with their files, in order of names.
///
/// # Errors
/// [`ServerError::Folder`], or [`ServerError::Policy`] for the first that cannot be read.
pub fn read_folder(folder: &Path) -> Result<Vec<(PathBuf, Policy)>, ServerError> {
    let unreadable = |source| ServerError::Folder { folder: folder.to_owned(), source };
    let files = files(folder).map_err(unreadable)?.into_iter();
    let read = |(name, file): (String, PathBuf)| match read_one(&name, &file, None) {
        Ok(shelved) => Ok((file, Arc::unwrap_or_clone(shelved.policy))),
        Err(problem) => Err(ServerError::Policy(Fault { file, problem, is_served: false })),
    };
    files.map(read).collect()
}

/// Names with their files, in order of names.
fn files(folder: &Path) -> std::io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let inside = path.join("policy.md");
        let file = if inside.is_file() { inside } else { path.clone() };
        let is_policy = file.is_file()
            && file.extension().is_some_and(|it| it == "md")
            && path.file_name().is_none_or(|it| it != "README.md");
        if let Some(name) = path.file_stem().filter(|_| is_policy) {
            let name = if path.is_dir() { path.file_name().unwrap_or(name) } else { name };
            files.push((name.to_string_lossy().into_owned(), file));
        }
    }
    files.sort();
    Ok(files)
}

fn read_one(name: &str, file: &Path, earlier: Option<&Shelved>) -> Result<Shelved, String> {
    let bytes = fs::read(file).map_err(|error| format!("cannot be read: {error}"))?;
    match earlier {
        Some(earlier) if *earlier.bytes == *bytes => Ok(earlier.clone()),
        _ => parse(name, &bytes),
    }
}

fn parse(name: &str, bytes: &[u8]) -> Result<Shelved, String> {
    Shelved::parse(name, bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "## VIOLATES\n- A1 one\n\n## SAFE\n- A0.a none\n";
    const OTHER: &str = "## VIOLATES\n- A1 another\n\n## SAFE\n- A0.a none\n";
    const BROKEN: &str = "## VIOLATES\n- A1 one\n- A1 again\n";

    fn names(shelf: &Shelf) -> Vec<String> {
        shelf.folder().policies.keys().cloned().collect()
    }

    #[test]
    fn a_broken_edit_keeps_the_last_good_version_and_says_so_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a/policy.md");
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(&file, GOOD).unwrap();
        fs::write(dir.path().join("README.md"), "no policy").unwrap();
        let shelf = Shelf::open(PolicySource::Folder(dir.path().to_owned())).unwrap();
        assert_eq!(names(&shelf), ["a"]);
        let id = shelf.folder().policies["a"].id.clone();

        fs::write(&file, BROKEN).unwrap();
        let changes = shelf.look_again();
        assert!(changes.loaded.is_empty() && changes.faults.len() == 1, "{changes:?}");
        assert!(changes.faults[0].is_served && changes.faults[0].problem.contains("line 3"));
        assert_eq!(shelf.folder().policies["a"].id, id);
        assert!(shelf.look_again().faults.is_empty(), "it is told once");
        assert_eq!(shelf.folder().faults.len(), 1, "and goes on");

        fs::write(&file, OTHER).unwrap();
        assert_eq!(shelf.look_again().loaded.len(), 1);
        assert!(shelf.folder().faults.is_empty() && shelf.folder().policies["a"].id != id);
    }

    #[test]
    fn files_come_and_go_and_two_of_one_name_are_a_fault() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(PolicySource::Folder(dir.path().to_owned())).unwrap();
        fs::write(dir.path().join("b.md"), GOOD).unwrap();
        assert_eq!(shelf.look_again().loaded.len(), 1);
        fs::create_dir(dir.path().join("b")).unwrap();
        fs::write(dir.path().join("b/policy.md"), OTHER).unwrap();
        assert_eq!(shelf.look_again().faults.len(), 1);
        fs::remove_dir_all(dir.path().join("b")).unwrap();
        fs::remove_file(dir.path().join("b.md")).unwrap();
        assert_eq!(shelf.look_again().removed, ["b"]);
        fs::remove_dir(dir.path()).unwrap();
        assert_eq!(shelf.look_again().faults.len(), 1, "a folder that is gone is no empty folder");
    }

    #[test]
    fn a_policy_broken_at_the_start_stops_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.md"), BROKEN).unwrap();
        let error = Shelf::open(PolicySource::Folder(dir.path().to_owned())).unwrap_err();
        assert!(error.to_string().contains("a.md: line 3"), "{error}");
    }
}
