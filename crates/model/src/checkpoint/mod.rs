//! A checkpoint in the Hugging Face layout: named files, and tensors found in them by name.
//!
//! It knows bytes, names, shapes and number formats, and nothing of what a tensor is for
//! (`weights.rs`). Tensors stay in the mapped file; nothing is copied here.

mod header;
mod map;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::error::ModelError;
use header::Entry;
pub(crate) use map::FileBytes;

/// Longest JSON file that is read into memory; the tokenizer of the 20b has 28 MB.
const MAX_JSON: u64 = 256 << 20;
const INDEX: &str = "model.safetensors.index.json";
const SINGLE: &str = "model.safetensors";

/// Where a checkpoint's files come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    Dir(&'a Path),
    Embedded(&'a [(&'static str, &'static [u8])]),
}

impl Source<'_> {
    /// The path of a file, for error messages too.
    pub(crate) fn path(self, name: &str) -> PathBuf {
        match self {
            Source::Dir(dir) => dir.join(name),
            Source::Embedded(_) => Path::new("(built in)").join(name),
        }
    }

    /// A small file's bytes, or `None` if it is not there.
    pub(crate) fn read(self, name: &str) -> Result<Option<Vec<u8>>, ModelError> {
        let path = self.path(name);
        let failed = |source| ModelError::Io { path: path.clone(), source };
        let Source::Dir(_) = self else { return Ok(self.embedded(name).map(<[u8]>::to_vec)) };
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
            Ok(facts) if facts.len() > MAX_JSON => {
                Err(ModelError::TooLarge { path, n_bytes: facts.len(), max_bytes: MAX_JSON })
            }
            Ok(_) => std::fs::read(&path).map(Some).map_err(failed),
        }
    }

    /// As [`Source::read`], for a file that must be there.
    pub(crate) fn require(self, name: &str) -> Result<Vec<u8>, ModelError> {
        self.read(name)?.ok_or_else(|| ModelError::MissingFile { path: self.path(name) })
    }

    fn map(self, name: &str) -> Result<FileBytes, ModelError> {
        let path = self.path(name);
        match self {
            Source::Dir(_) if path.is_file() => FileBytes::map(&path),
            Source::Dir(_) => Err(ModelError::MissingFile { path }),
            Source::Embedded(_) => match self.embedded(name) {
                Some(bytes) => Ok(FileBytes::Embedded(bytes)),
                None => Err(ModelError::MissingFile { path }),
            },
        }
    }

    fn embedded(self, name: &str) -> Option<&'static [u8]> {
        let Source::Embedded(files) = self else { return None };
        files.iter().find(|(file, _)| *file == name).map(|(_, bytes)| *bytes)
    }
}

/// The tensors of a checkpoint.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    /// What the tensors were looked up in: the index, or the only file.
    path: PathBuf,
    tensors: BTreeMap<String, Tensor>,
}

/// One tensor: its place in a file, and what the file says about it.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(crate) path: Arc<Path>,
    pub(crate) name: String,
    pub(crate) dtype: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Bytes,
}

/// A part of a file that keeps the file alive.
#[derive(Clone, Debug)]
pub(crate) struct Bytes {
    pub(crate) file: Arc<FileBytes>,
    pub(crate) range: Range<usize>,
}

impl Bytes {
    pub(crate) fn owned(bytes: Vec<u8>) -> Bytes {
        Bytes { range: 0..bytes.len(), file: Arc::new(FileBytes::Owned(bytes)) }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.file[self.range.clone()]
    }
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Maps every file that the index names, or the only one, and reads their headers.
    pub(crate) fn open(source: Source<'_>) -> Result<Checkpoint, ModelError> {
        let Some(index) = source.read(INDEX)? else {
            let tensors = read_file(source, SINGLE)?;
            return Ok(Checkpoint { path: source.path(SINGLE), tensors });
        };
        let path = source.path(INDEX);
        let index: Index = serde_json::from_slice(&index)
            .map_err(|error| ModelError::Json { path: path.clone(), source: error })?;
        let mut files = BTreeSet::new();
        for (tensor, file) in &index.weight_map {
            if files.insert(file.as_str()) && !is_file_beside(source, file) {
                let (tensor, file) = (tensor.clone(), file.clone());
                return Err(ModelError::IndexedFile { path, tensor, file });
            }
        }
        let mut tensors = BTreeMap::new();
        for file in files {
            let mut found = read_file(source, file)?;
            for name in index.weight_map.iter().filter(|(_, at)| *at == file).map(|(name, _)| name)
            {
                let tensor = found.remove(name).ok_or_else(|| ModelError::MissingTensor {
                    path: source.path(file),
                    tensor: name.clone(),
                })?;
                tensors.insert(name.clone(), tensor);
            }
        }
        Ok(Checkpoint { path, tensors })
    }

    /// The tensor of that name.
    pub(crate) fn tensor(&self, name: &str) -> Result<&Tensor, ModelError> {
        self.tensors.get(name).ok_or_else(|| ModelError::MissingTensor {
            path: self.path.clone(),
            tensor: name.to_owned(),
        })
    }

    /// All tensors, by name.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.tensors.values()
    }
}

/// The tensors of one safetensors file.
pub(crate) fn read_file(
    source: Source<'_>,
    name: &str,
) -> Result<BTreeMap<String, Tensor>, ModelError> {
    let path: Arc<Path> = source.path(name).into();
    let file = Arc::new(source.map(name)?);
    let entries = header::read(&path, &file)?;
    let tensor = |(name, Entry { dtype, shape, range }): (String, Entry)| {
        let bytes = Bytes { file: Arc::clone(&file), range };
        (name.clone(), Tensor { path: Arc::clone(&path), name, dtype, shape, bytes })
    };
    Ok(entries.into_iter().map(tensor).collect())
}

/// A plain name, so that an index cannot reach outside its folder, of a file that exists.
fn is_file_beside(source: Source<'_>, name: &str) -> bool {
    let mut parts = Path::new(name).components();
    let is_plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    is_plain
        && match source {
            Source::Dir(dir) => dir.join(name).is_file(),
            Source::Embedded(_) => source.embedded(name).is_some(),
        }
}
