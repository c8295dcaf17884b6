//! The header of a safetensors file: where each tensor lies, checked before anything is read by it.
//!
//! Layout: a little-endian `u64`, that many bytes of JSON, then the tensors without gaps.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{ModelError, OffsetProblem};

/// Longest header that is parsed; the 120b needs some 100 KB a file.
const MAX_HEADER: u64 = 100 << 20;
/// Bytes of the header's length.
const N_PREFIX: u64 = 8;

/// A tensor's place in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Format name as in the file, such as `BF16`.
    pub(crate) dtype: String,
    pub(crate) shape: Vec<usize>,
    /// Bytes of the file; inside it.
    pub(crate) range: Range<usize>,
}

#[derive(Deserialize)]
struct RawEntry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// Reads the header of `bytes`, a whole file; `path` is for error messages.
pub(crate) fn read(path: &Path, bytes: &[u8]) -> Result<BTreeMap<String, Entry>, ModelError> {
    let n_file = bytes.len() as u64;
    let prefix = bytes.first_chunk::<{ N_PREFIX as usize }>();
    let n_header = prefix.map_or(0, |prefix| u64::from_le_bytes(*prefix));
    if n_header == 0 || n_header > MAX_HEADER || n_header > n_file - N_PREFIX {
        return Err(ModelError::HeaderLength { path: path.to_owned(), n_header, n_file });
    }
    let start = (N_PREFIX + n_header) as usize;
    let json = |source| ModelError::Json { path: path.to_owned(), source };
    let raw: BTreeMap<String, Value> =
        serde_json::from_slice(&bytes[N_PREFIX as usize..start]).map_err(json)?;
    let mut entries = Vec::with_capacity(raw.len());
    for (name, value) in raw {
        if name != "__metadata__" {
            entries.push((name, serde_json::from_value::<RawEntry>(value).map_err(json)?));
        }
    }
    entries.sort_by_key(|(_, entry)| entry.data_offsets);
    check_offsets(path, &entries)?;
    check_end(path, &entries, start as u64, n_file)?;
    let place = |(name, raw): (String, RawEntry)| {
        let (from, to) = raw.data_offsets;
        let range = start + from as usize..start + to as usize;
        let shape = raw.shape.into_iter().map(|n| n as usize).collect();
        (name, Entry { dtype: raw.dtype, shape, range })
    };
    Ok(entries.into_iter().map(place).collect())
}

/// Each tensor has the size of its shape and begins where the one before it ends.
fn check_offsets(path: &Path, entries: &[(String, RawEntry)]) -> Result<(), ModelError> {
    let mut last_end = 0;
    for (name, entry) in entries {
        let (start, end) = entry.data_offsets;
        if let Some(problem) = problem_of(entry, last_end) {
            let (path, tensor) = (path.to_owned(), name.clone());
            return Err(ModelError::Offsets { path, tensor, start, end, problem });
        }
        last_end = end;
    }
    Ok(())
}

fn problem_of(entry: &RawEntry, last_end: u64) -> Option<OffsetProblem> {
    let (start, end) = entry.data_offsets;
    let Some(n_bytes) = end.checked_sub(start) else { return Some(OffsetProblem::Backwards) };
    if start != last_end {
        return Some(OffsetProblem::Gap { expected: last_end });
    }
    // A format that nobody here reads may be of any size; whoever asks for it is told its name.
    let n_cell = cell_bytes(&entry.dtype)?;
    let expected = entry.shape.iter().try_fold(n_cell, |n, &side| n.checked_mul(side));
    match expected {
        None => Some(OffsetProblem::Huge),
        Some(expected) if expected != n_bytes => Some(OffsetProblem::Size { expected }),
        Some(_) => None,
    }
}

/// Every tensor ends inside the file.
fn check_end(
    path: &Path,
    entries: &[(String, RawEntry)],
    start: u64,
    n_file: u64,
) -> Result<(), ModelError> {
    let past = |entry: &RawEntry| start.saturating_add(entry.data_offsets.1);
    if let Some((name, entry)) = entries.iter().find(|(_, entry)| past(entry) > n_file) {
        return Err(ModelError::Truncated {
            path: path.to_owned(),
            tensor: name.clone(),
            expected: past(entry),
            n_file,
        });
    }
    Ok(())
}

/// Bytes of one value in the formats that a checkpoint of ours is made of.
fn cell_bytes(dtype: &str) -> Option<u64> {
    match dtype {
        "U8" | "I8" | "BOOL" => Some(1),
        "BF16" | "F16" => Some(2),
        "F32" | "I32" | "U32" => Some(4),
        "F64" | "I64" | "U64" => Some(8),
        _ => None,
    }
}
