//! Policies and golden sets on disk: where they are, what they are called, and how a file is replaced.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use policy::Policy;

use crate::output::hinted;

/// A policy's file in its folder.
pub(crate) const POLICY: &str = "policy.md";
/// The golden set beside it.
pub(crate) const GOLDEN: &str = "golden.jsonl";
/// What makes its scores probabilities.
pub(crate) const CALIBRATION: &str = "calibration.json";

/// This program's part of the user's cache folder; `None` where there is no home folder.
pub(crate) fn user_cache() -> Option<PathBuf> {
    let base =
        std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let base = base.or_else(|| Some(std::env::home_dir()?.join(".cache")))?;
    Some(base.join("safeguard"))
}

/// The policy with the path of its file; a folder stands for its `policy.md` and gives the name.
pub(crate) fn read_policy(path: &Path) -> Result<(PathBuf, Policy)> {
    let file = policy_file(path);
    let bytes = read(&file)?;
    let policy =
        Policy::parse(&name_of(&file), &bytes).with_context(|| file.display().to_string())?;
    Ok((file, policy))
}

/// The file that a path means.
pub(crate) fn policy_file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(POLICY) } else { path.to_owned() }
}

/// The bytes of a policy's file.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).map_err(|error| {
        let error =
            anyhow::Error::from(error).context(format!("{}: cannot be read", file.display()));
        hinted(error, "policies/ has ten to start from, each a folder with policy.md")
    })
}

/// The file of this name beside a policy's file, if there is one.
pub(crate) fn read_beside(policy: &Path, name: &str) -> Result<Option<(PathBuf, Vec<u8>)>> {
    let file = policy.with_file_name(name);
    Ok(read_if_there(&file)?.map(|bytes| (file, bytes)))
}

/// The bytes of a file; `None` only where there is none.
pub(crate) fn read_if_there(file: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{}: cannot be read", file.display())),
    }
}

/// The name of a policy: its folder's, or its file's.
pub(crate) fn name_of(file: &Path) -> String {
    let word = |part: Option<&OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let stem = word(file.file_stem()).unwrap_or_default();
    match word(file.parent().and_then(Path::file_name)) {
        Some(folder) if stem == "policy" => folder,
        _ => stem,
    }
}

/// Puts new bytes in a file's place: whoever reads it sees all of the old ones or all of the new. A link
/// stays a link, and permissions stay what they are.
pub(crate) fn replace(file: &Path, bytes: &[u8]) -> Result<()> {
    let what = || format!("{}: cannot be written", file.display());
    let file = fs::canonicalize(file).with_context(what)?;
    let beside = beside(&file);
    let written = write_new(&beside, bytes, &file).and_then(|()| fs::rename(&beside, &file));
    if written.is_err() {
        // What is left of it is of no use; the first error is the one to report.
        let _ = fs::remove_file(&beside);
    }
    written.with_context(what)
}

/// Writes a file, new or in another's place, whole or not at all; a device or pipe is written to as it is.
pub(crate) fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    let what = || format!("{}: cannot be written", file.display());
    if file.is_file() {
        return replace(file, bytes);
    }
    if fs::symlink_metadata(file).is_ok() {
        return fs::write(file, bytes).with_context(what);
    }
    let beside = beside(file);
    fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, file)).with_context(what)
}

/// Where new bytes are put before they take the file's place.
fn beside(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!(".{name}.{}.new", std::process::id()))
}

fn write_new(path: &Path, bytes: &[u8], model: &Path) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.set_permissions(fs::metadata(model)?.permissions())?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_called_after_its_folder_or_its_file() {
        assert_eq!(name_of(Path::new("policies/spam/policy.md")), "spam");
        assert_eq!(name_of(Path::new("policies/spam/draft.md")), "draft");
        assert_eq!(name_of(Path::new("policy.md")), "policy");
    }

    #[test]
    fn replacing_leaves_nothing_beside_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("policy.md");
        fs::write(&file, "old").unwrap();
        replace(&file, b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(replace(&dir.path().join("none.md"), b"x").is_err());
    }
}
