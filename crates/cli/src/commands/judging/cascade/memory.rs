//! What is remembered from run to run: verdicts in a file, one a line, with the prints that they are found by.

use std::path::Path;

use anyhow::{Result, anyhow};
use cascade::Remembered;

use crate::commands::files::{read_if_there, write};
use crate::output::hinted;

/// What an earlier run kept; nothing where there is no file yet.
pub(super) fn read(path: &Path) -> Result<Vec<Remembered>> {
    let Some(bytes) = read_if_there(path)? else { return Ok(Vec::new()) };
    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let parsed = (1..).zip(lines).map(|(number, line)| {
        serde_json::from_slice(line).map_err(|_| {
            let error = anyhow!("{}:{number}: not a verdict that was remembered", path.display());
            hinted(error, "remove the file, or name another with cache_file")
        })
    });
    parsed.collect()
}

/// Keeps what is remembered; the last of two runs at a time wins.
pub(super) fn save(path: &Path, all: &[Remembered]) -> Result<()> {
    let mut bytes = Vec::new();
    for one in all {
        serde_json::to_writer(&mut bytes, one)?;
        bytes.push(b'\n');
    }
    write(path, &bytes)
}
