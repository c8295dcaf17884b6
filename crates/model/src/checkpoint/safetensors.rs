//! The header of a safetensors file: eight bytes of length, JSON, then the tensors' bytes.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{FileProblem, ModelError};

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
    let fail = |problem| ModelError::Safetensors { path: path.to_owned(), problem };
    let n_file = bytes.len();
    let (length, rest) = bytes
        .split_first_chunk::<8>()
        .ok_or_else(|| fail(FileProblem::Header { n_header: 8, n_file }))?;
    let n_header = u64::from_le_bytes(*length);
    let header = usize::try_from(n_header)
        .ok()
        .filter(|&n| n <= MAX_HEADER)
        .and_then(|n| rest.get(..n))
        .ok_or_else(|| fail(FileProblem::Header { n_header, n_file }))?;
    let lines: BTreeMap<String, Value> = serde_json::from_slice(header)
        .map_err(|source| ModelError::Json { path: path.to_owned(), source })?;
    let start = 8 + header.len();
    let mut entries = Vec::with_capacity(lines.len());
    for (tensor, line) in lines {
        if tensor != METADATA {
            let entry = entry(&tensor, line, start, n_file).map_err(fail)?;
            entries.push((tensor, entry));
        }
    }
    check_overlaps(&entries).map_err(fail)?;
    Ok(entries)
}

fn entry(tensor: &str, line: Value, start: usize, n_file: usize) -> Result<Entry, FileProblem> {
    let name = || tensor.to_owned();
    let line: Line = serde_json::from_value(line)
        .map_err(|source| FileProblem::Line { tensor: name(), source })?;
    let dtype = Dtype::deserialize(Value::from(line.dtype.as_str()))
        .map_err(|_| FileProblem::Format { tensor: name(), dtype: line.dtype })?;
    let [start_offset, end_offset] = line.data_offsets;
    let place =
        |offset: u64| usize::try_from(offset).ok().and_then(|offset| offset.checked_add(start));
    let range = match (place(start_offset), place(end_offset)) {
        (Some(from), Some(to)) if from <= to && to <= n_file => from..to,
        _ => {
            let (from, to, n_data) = (start_offset, end_offset, n_file - start);
            return Err(FileProblem::Outside { tensor: name(), from, to, n_data });
        }
    };
    let sizes: Option<Vec<usize>> =
        line.shape.iter().map(|&size| usize::try_from(size).ok()).collect();
    let n_bytes = sizes
        .as_ref()
        .and_then(|sizes| sizes.iter().try_fold(dtype.n_bytes(), |n, &size| n.checked_mul(size)));
    match (sizes, n_bytes) {
        (Some(shape), Some(n_bytes)) if n_bytes == range.len() => Ok(Entry { dtype, shape, range }),
        _ => Err(FileProblem::Size { tensor: name(), shape: line.shape, n_bytes: range.len() }),
    }
}

fn check_overlaps(entries: &[(String, Entry)]) -> Result<(), FileProblem> {
    let mut order: Vec<&(String, Entry)> =
        entries.iter().filter(|(_, entry)| !entry.range.is_empty()).collect();
    order.sort_by_key(|(_, entry)| entry.range.start);
    for pair in order.windows(2) {
        if pair[0].1.range.end > pair[1].1.range.start {
            return Err(FileProblem::Overlap {
                tensor: pair[0].0.clone(),
                other: pair[1].0.clone(),
            });
        }
    }
    Ok(())
}
