//! A checkpoint's tensors by name: where their bytes lie and what they are. Nothing is copied.

pub(crate) mod fingerprint;
mod map;
mod safetensors;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{FileProblem, ModelError};
pub(crate) use map::{Bytes, map};
pub use safetensors::Dtype;

const INDEX: &str = "model.safetensors.index.json";
const SINGLE: &str = "model.safetensors";

/// The tensors of one or many safetensors files.
#[derive(Debug)]
pub struct Checkpoint {
    /// What messages name when a tensor is nowhere.
    root: PathBuf,
    files: Vec<(PathBuf, Bytes)>,
    tensors: BTreeMap<String, Tensor>,
}

/// One tensor: its format, its shape, and where its bytes lie.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Format of a cell.
    pub dtype: Dtype,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    file: usize,
    range: Range<usize>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

impl Checkpoint {
    /// Maps the files of a folder: those that the index names, or the single one.
    ///
    /// # Errors
    /// [`ModelError`] for files that are missing, cut short or do not hold what the index says.
    pub fn open(dir: &Path) -> Result<Checkpoint, ModelError> {
        let index_path = dir.join(INDEX);
        if !index_path.is_file() {
            return Checkpoint::open_file(&dir.join(SINGLE));
        }
        let text = read(&index_path)?;
        let index: Index = serde_json::from_slice(&text)
            .map_err(|source| ModelError::Json { path: index_path.clone(), source })?;
        let mut names: Vec<&String> = index.weight_map.values().collect();
        names.sort();
        names.dedup();
        let files = names.into_iter().map(|name| {
            let path = dir.join(plain_name(&index_path, name)?);
            Ok((path.clone(), Bytes::map(&path)?))
        });
        let checkpoint = Checkpoint::from_files(dir, files.collect::<Result<_, ModelError>>()?)?;
        checkpoint.check_index(dir, &index)?;
        Ok(checkpoint)
    }

    /// Maps a single file.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn open_file(path: &Path) -> Result<Checkpoint, ModelError> {
        Checkpoint::from_files(path, vec![(path.to_owned(), Bytes::map(path)?)])
    }

    /// Takes one file's bytes that are in memory already.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn from_static(name: &str, bytes: &'static [u8]) -> Result<Checkpoint, ModelError> {
        let path = Path::new(name);
        Checkpoint::from_files(path, vec![(path.join(SINGLE), Bytes::Static(bytes))])
    }

    /// Takes one file's bytes that were made in memory.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub(crate) fn from_image(name: &str, image: memmap2::Mmap) -> Result<Checkpoint, ModelError> {
        let path = Path::new(name);
        Checkpoint::from_files(path, vec![(path.join(SINGLE), Bytes::Mapped(image))])
    }

    fn from_files(root: &Path, files: Vec<(PathBuf, Bytes)>) -> Result<Checkpoint, ModelError> {
        let mut tensors = BTreeMap::new();
        for (file, (path, bytes)) in files.iter().enumerate() {
            for (name, entry) in safetensors::read_header(path, bytes.as_slice())? {
                let tensor =
                    Tensor { dtype: entry.dtype, shape: entry.shape, file, range: entry.range };
                if tensors.insert(name.clone(), tensor).is_some() {
                    let problem = FileProblem::Twice { tensor: name };
                    return Err(ModelError::Safetensors { path: path.clone(), problem });
                }
            }
        }
        Ok(Checkpoint { root: root.to_owned(), files, tensors })
    }

    fn check_index(&self, dir: &Path, index: &Index) -> Result<(), ModelError> {
        for (tensor, file) in &index.weight_map {
            let path = dir.join(file);
            let found =
                self.tensors.get(tensor).is_some_and(|found| self.files[found.file].0 == path);
            if !found {
                return Err(ModelError::MissingTensor { path, tensor: tensor.clone() });
            }
        }
        Ok(())
    }

    /// A tensor by its name.
    ///
    /// # Errors
    /// [`ModelError::MissingTensor`].
    pub fn tensor(&self, name: &str) -> Result<&Tensor, ModelError> {
        self.tensors.get(name).ok_or_else(|| ModelError::MissingTensor {
            path: self.root.clone(),
            tensor: name.to_owned(),
        })
    }

    /// The bytes of a tensor of this checkpoint.
    pub fn bytes(&self, tensor: &Tensor) -> &[u8] {
        &self.files[tensor.file].1.as_slice()[tensor.range.clone()]
    }

    /// Gives back the memory of a tensor that is not read again, or not for long. What was made in memory is gone.
    pub(crate) fn forget(&self, tensor: &Tensor) {
        self.files[tensor.file].1.forget(tensor.range.clone());
    }

    /// The file that a tensor lies in.
    pub fn path(&self, tensor: &Tensor) -> &Path {
        &self.files[tensor.file].0
    }

    /// All tensors, by name.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Tensors in all files.
    pub fn n_tensors(&self) -> usize {
        self.tensors.len()
    }

    /// Bytes of all files.
    pub fn n_bytes(&self) -> usize {
        self.files.iter().map(|(_, bytes)| bytes.as_slice().len()).sum()
    }
}

/// A file's bytes.
///
/// # Errors
/// [`ModelError::Read`].
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    std::fs::read(path).map_err(|source| ModelError::Read { path: path.to_owned(), source })
}

/// The name of a file beside the index; an index must not lead out of its folder.
fn plain_name<'a>(index: &Path, name: &'a str) -> Result<&'a str, ModelError> {
    let is_plain = !name.is_empty() && Path::new(name).file_name().is_some_and(|file| file == name);
    if is_plain {
        return Ok(name);
    }
    let problem = FileProblem::NotBeside { file: name.to_owned() };
    Err(ModelError::Safetensors { path: index.to_owned(), problem })
}
