//! The header of a safetensors file: eight bytes of length, JSON, then the tensors' bytes.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::error::ModelError;

/// The format's own limit on the length of a header.
const MAX_HEADER: usize = 100_000_000;
const METADATA: &str = "__metadata__";

/// The format of a tensor's cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Dtype {
    /// 32-bit float.
    F32,
    /// IEEE half.
    F16,
    /// Brain float.
    Bf16,
    /// Bytes: packed 4-bit floats and their scales.
    U8,
    /// 64-bit integer.
    I64,
    /// 32-bit integer.
    I32,
}

impl Dtype {
    /// Bytes of a cell.
    pub fn n_bytes(self) -> usize {
        match self {
            Dtype::U8 => 1,
            Dtype::F16 | Dtype::Bf16 => 2,
            Dtype::F32 | Dtype::I32 => 4,
            Dtype::I64 => 8,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dtype::F32 => "F32",
            Dtype::F16 => "F16",
            Dtype::Bf16 => "BF16",
            Dtype::U8 => "U8",
            Dtype::I64 => "I64",
            Dtype::I32 => "I32",
        })
    }
}

/// A tensor's line in the header; the range counts from the start of the file.
pub(super) struct Entry {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) range: Range<usize>,
}

#[derive(Deserialize)]
struct Line {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// All tensors of a file, each with a range that lies in the file and fits its shape.
pub(super) fn read_header(path: &Path, bytes: &[u8]) -> Result<Vec<(String, Entry)>, ModelError> {
    let fail = |problem: String| ModelError::Safetensors { path: path.to_owned(), problem };
    let (length, rest) = bytes
        .split_first_chunk::<8>()
        .ok_or_else(|| fail(format!("is cut short: {} bytes, a header needs 8", bytes.len())))?;
    let length = u64::from_le_bytes(*length);
    let n_header = usize::try_from(length)
        .ok()
        .filter(|&n| n <= MAX_HEADER && n <= rest.len())
        .ok_or_else(|| {
            fail(format!(
                "is cut short: the header should take {length} bytes, {} follow",
                rest.len()
            ))
        })?;
    let lines: BTreeMap<String, Value> = serde_json::from_slice(&rest[..n_header])
        .map_err(|source| ModelError::Json { path: path.to_owned(), source })?;
    let start = 8 + n_header;
    let mut entries = Vec::with_capacity(lines.len());
    for (name, line) in lines {
        if name != METADATA {
            let entry = entry(line, start, bytes.len())
                .map_err(|problem| fail(format!("tensor {name}: {problem}")))?;
            entries.push((name, entry));
        }
    }
    check_overlaps(&entries).map_err(fail)?;
    Ok(entries)
}

fn entry(line: Value, start: usize, file_len: usize) -> Result<Entry, String> {
    let line: Line = serde_json::from_value(line).map_err(|error| error.to_string())?;
    let dtype = Dtype::deserialize(Value::from(line.dtype.as_str()))
        .map_err(|_| format!("unknown format {}", line.dtype))?;
    let too_large = || format!("the shape {:?} is larger than any file", line.shape);
    let shape: Vec<usize> = line
        .shape
        .iter()
        .map(|&size| usize::try_from(size).map_err(|_| too_large()))
        .collect::<Result<_, _>>()?;
    let n_bytes = shape
        .iter()
        .try_fold(dtype.n_bytes(), |n, &size| n.checked_mul(size))
        .ok_or_else(too_large)?;
    let [from, to] = line.data_offsets;
    let place =
        |offset: u64| usize::try_from(offset).ok().and_then(|offset| offset.checked_add(start));
    let range = match (place(from), place(to)) {
        (Some(from), Some(to)) if from <= to && to <= file_len => from..to,
        _ => {
            return Err(format!(
                "bytes {from}..{to} are not in the file, which is cut short or damaged"
            ));
        }
    };
    if range.len() != n_bytes {
        return Err(format!(
            "the shape {shape:?} of {dtype} takes {n_bytes} bytes, {} are given",
            range.len()
        ));
    }
    Ok(Entry { dtype, shape, range })
}

fn check_overlaps(entries: &[(String, Entry)]) -> Result<(), String> {
    let mut order: Vec<&(String, Entry)> =
        entries.iter().filter(|(_, entry)| !entry.range.is_empty()).collect();
    order.sort_by_key(|(_, entry)| entry.range.start);
    for pair in order.windows(2) {
        if pair[0].1.range.end > pair[1].1.range.start {
            return Err(format!("tensors {} and {} overlap", pair[0].0, pair[1].0));
        }
    }
    Ok(())
}
