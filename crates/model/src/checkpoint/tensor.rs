//! One tensor of a file: its bytes, and what the file says about them.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use kernels::{Isa, Kernels, Matrix};

use super::map::FileBytes;
use crate::error::ModelError;

/// One tensor: its place in a file, and what the file says about it.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(crate) path: Arc<Path>,
    pub(crate) name: String,
    /// Number format as the file names it, such as `BF16`.
    pub(crate) dtype: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Bytes,
}

/// A number format of weights that are not packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Float {
    F32,
    F16,
    Bf16,
}

/// A part of a file that keeps the file alive.
#[derive(Clone, Debug)]
pub(crate) struct Bytes {
    file: Arc<FileBytes>,
    range: Range<usize>,
}

impl Tensor {
    /// This tensor, if it has that shape.
    pub(crate) fn shaped(&self, shape: &[usize]) -> Result<&Tensor, ModelError> {
        if self.shape == shape {
            return Ok(self);
        }
        Err(ModelError::Shape {
            path: self.path.to_path_buf(),
            tensor: self.name.clone(),
            expected: shape.to_vec(),
            found: self.shape.clone(),
        })
    }

    /// Its number format, if it is one of floats.
    pub(crate) fn float(&self) -> Result<Float, ModelError> {
        match self.dtype.as_str() {
            "F32" => Ok(Float::F32),
            "F16" => Ok(Float::F16),
            "BF16" => Ok(Float::Bf16),
            _ => Err(self.wrong_dtype("BF16, F16 or F32")),
        }
    }

    /// Its bytes, if it is one of bytes.
    pub(crate) fn packed(&self) -> Result<&Bytes, ModelError> {
        if self.dtype == "U8" { Ok(&self.bytes) } else { Err(self.wrong_dtype("U8")) }
    }

    /// All its values, unpacked.
    pub(crate) fn to_f32(&self) -> Result<Vec<f32>, ModelError> {
        let mut values = vec![0.0; self.shape.iter().product()];
        let kernels = Kernels::with_isa(Isa::Scalar).expect("every CPU runs plain code");
        let matrix = self.float()?.matrix(self.bytes.as_slice(), 1, values.len());
        kernels.unpack_rows(&matrix, 0, &mut values);
        Ok(values)
    }

    pub(crate) fn wrong_dtype(&self, expected: &'static str) -> ModelError {
        ModelError::Dtype {
            path: self.path.to_path_buf(),
            tensor: self.name.clone(),
            expected,
            found: self.dtype.clone(),
        }
    }
}

impl Float {
    /// Bytes of one value.
    pub(crate) fn n_bytes(self) -> usize {
        match self {
            Float::F32 => 4,
            Float::F16 | Float::Bf16 => 2,
        }
    }

    /// Bytes of this format as a matrix.
    ///
    /// # Panics
    /// When they do not fit the shape; a tensor's bytes fit its own.
    pub(crate) fn matrix(self, bytes: &[u8], n_out: usize, n_in: usize) -> Matrix<'_> {
        let matrix = match self {
            Float::F32 => Matrix::f32(bytes, n_out, n_in),
            Float::F16 => Matrix::f16(bytes, n_out, n_in),
            Float::Bf16 => Matrix::bf16(bytes, n_out, n_in),
        };
        matrix.expect("sizes are checked when the header is read, shapes when a tensor is found")
    }
}

impl Bytes {
    /// A part of a file; `range` lies inside it.
    pub(crate) fn of_file(file: &Arc<FileBytes>, range: Range<usize>) -> Bytes {
        Bytes { file: Arc::clone(file), range }
    }

    /// Bytes that were made at load.
    pub(crate) fn owned(bytes: Vec<u8>) -> Bytes {
        Bytes { range: 0..bytes.len(), file: Arc::new(FileBytes::Owned(bytes)) }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.file[self.range.clone()]
    }

    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    /// Part `idx` of those that are `len` long.
    pub(crate) fn part(&self, idx: usize, len: usize) -> &[u8] {
        &self.as_slice()[idx * len..(idx + 1) * len]
    }
}
