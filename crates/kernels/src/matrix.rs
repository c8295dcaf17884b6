//! A weight matrix: bytes with a shape that has been checked, in a format that products know.

use std::ops::Range;

use crate::arithmetic::Arithmetic;
use crate::slab::WIDE;
use crate::{int8, mxfp4};

/// Outputs that a product takes at once.
pub const TILE: usize = WIDE;
/// Values that share one scale in MXFP4.
pub const GROUP: usize = 32;
/// The scale byte that the OCP microscaling standard reserves for "not a number".
pub const NAN_SCALE: u8 = 255;

/// Why bytes cannot be a matrix of the wanted shape.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MatrixError {
    /// The shape needs another number of bytes.
    Length {
        /// Bytes that the shape needs.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// MXFP4 rows are made of whole groups of 32.
    Group {
        /// The row length that is no multiple of 32.
        n_in: usize,
    },
    /// The shape has more bytes than can be addressed.
    TooLarge,
}

impl std::fmt::Display for MatrixError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MatrixError::Length { expected, found } => {
                write!(f, "the shape needs {expected} bytes, there are {found}")
            }
            MatrixError::Group { n_in } => {
                write!(f, "rows hold groups of {GROUP}, and {n_in} is no multiple")
            }
            MatrixError::TooLarge => f.write_str("the shape is larger than memory can be"),
        }
    }
}

impl std::error::Error for MatrixError {}

/// A matrix `[n_out, n_in]` of little-endian cells: plain floats row-major as a checkpoint stores them, packed formats in
/// tiles. No alignment is needed.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    pub(crate) cells: Cells<'a>,
    pub(crate) n_out: usize,
    pub(crate) n_in: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Cells<'a> {
    F32(&'a [u8]),
    F16(&'a [u8]),
    Bf16(&'a [u8]),
    /// As [`crate::mxfp4`] says.
    Mxfp4 {
        codes: &'a [u8],
        scales: &'a [u8],
    },
    /// As [`crate::int8::n_bytes`] says.
    Int8 {
        cells: &'a [u8],
        scales: &'a [u8],
    },
}

impl<'a> Matrix<'a> {
    /// 32-bit floats: 4 bytes a cell.
    ///
    /// # Errors
    /// [`MatrixError::Length`] when `bytes` does not fit the shape; likewise for the other formats.
    pub fn f32(bytes: &'a [u8], n_out: usize, n_in: usize) -> Result<Self, MatrixError> {
        check(bytes, n_out, n_in, 4)?;
        Ok(Matrix { cells: Cells::F32(bytes), n_out, n_in })
    }

    /// IEEE half floats: 2 bytes a cell.
    ///
    /// # Errors
    /// As [`Matrix::f32`].
    pub fn f16(bytes: &'a [u8], n_out: usize, n_in: usize) -> Result<Self, MatrixError> {
        check(bytes, n_out, n_in, 2)?;
        Ok(Matrix { cells: Cells::F16(bytes), n_out, n_in })
    }

    /// Brain floats: 2 bytes a cell.
    ///
    /// # Errors
    /// As [`Matrix::f32`].
    pub fn bf16(bytes: &'a [u8], n_out: usize, n_in: usize) -> Result<Self, MatrixError> {
        check(bytes, n_out, n_in, 2)?;
        Ok(Matrix { cells: Cells::Bf16(bytes), n_out, n_in })
    }

    /// MXFP4 in tiles, as [`crate::Kernels::tile_mxfp4`] made them.
    ///
    /// # Errors
    /// [`MatrixError::Group`] when `n_in` is no multiple of 32, [`MatrixError::Length`] otherwise.
    pub fn mxfp4(bytes: &'a [u8], n_out: usize, n_in: usize) -> Result<Self, MatrixError> {
        let (codes, scales) = split(bytes, mxfp4::n_bytes(n_out, n_in), n_in)?;
        Ok(Matrix { cells: Cells::Mxfp4 { codes, scales }, n_out, n_in })
    }

    /// Bytes of [`Matrix::mxfp4`]; `None` where there cannot be so many.
    pub fn mxfp4_len(n_out: usize, n_in: usize) -> Option<usize> {
        total(mxfp4::n_bytes(n_out, n_in))
    }

    /// 8-bit integers with a bfloat16 scale for every 32 inputs, as [`crate::Kernels::to_int8`] made them.
    ///
    /// # Errors
    /// As [`Matrix::mxfp4`].
    pub fn int8(bytes: &'a [u8], n_out: usize, n_in: usize) -> Result<Self, MatrixError> {
        let (cells, scales) = split(bytes, int8::n_bytes(n_out, n_in), n_in)?;
        Ok(Matrix { cells: Cells::Int8 { cells, scales }, n_out, n_in })
    }

    /// Bytes of [`Matrix::int8`]; `None` where there cannot be so many.
    pub fn int8_len(n_out: usize, n_in: usize) -> Option<usize> {
        total(int8::n_bytes(n_out, n_in))
    }

    /// How a product with this matrix is computed where `wanted` is wanted: exactly, if that does not fit the format.
    pub fn way(&self, wanted: Arithmetic) -> Arithmetic {
        match (wanted, self.cells) {
            (Arithmetic::Int8, Cells::Mxfp4 { .. } | Cells::Int8 { .. }) => Arithmetic::Int8,
            (Arithmetic::Bf16, Cells::Mxfp4 { .. } | Cells::Bf16(_)) => Arithmetic::Bf16,
            _ => Arithmetic::Exact,
        }
    }

    /// Neighbouring tiles of [`TILE`] rows as a matrix of their own; the last of all may have fewer. A product with it
    /// gives the same bits for these outputs.
    ///
    /// # Panics
    /// When there are no such tiles.
    pub fn tiles(&self, tiles: Range<usize>) -> Matrix<'a> {
        let rows = tiles.start * TILE..self.n_out.min(tiles.end * TILE);
        assert!(rows.start <= rows.end, "tiles {tiles:?} of {} rows", self.n_out);
        let of = |bytes: &'a [u8], n_row: usize| &bytes[rows.start * n_row..rows.end * n_row];
        let of_tiles = |bytes: &'a [u8], n_row: usize| {
            &bytes[rows.start * n_row..rows.end.next_multiple_of(TILE) * n_row]
        };
        let n_groups = self.n_in / GROUP;
        let cells = match self.cells {
            Cells::F32(bytes) => Cells::F32(of(bytes, self.n_in * 4)),
            Cells::F16(bytes) => Cells::F16(of(bytes, self.n_in * 2)),
            Cells::Bf16(bytes) => Cells::Bf16(of(bytes, self.n_in * 2)),
            Cells::Mxfp4 { codes, scales } => Cells::Mxfp4 {
                codes: of_tiles(codes, self.n_in / 2),
                scales: of_tiles(scales, n_groups),
            },
            Cells::Int8 { cells, scales } => Cells::Int8 {
                cells: of_tiles(cells, self.n_in),
                scales: of_tiles(scales, n_groups * 2),
            },
        };
        Matrix { cells, n_out: rows.len(), n_in: self.n_in }
    }

    /// Rows: outputs of the product.
    pub fn n_out(&self) -> usize {
        self.n_out
    }

    /// Bytes in this format.
    pub fn n_bytes(&self) -> usize {
        match self.cells {
            Cells::F32(bytes) | Cells::F16(bytes) | Cells::Bf16(bytes) => bytes.len(),
            Cells::Mxfp4 { codes: cells, scales } | Cells::Int8 { cells, scales } => {
                cells.len() + scales.len()
            }
        }
    }

    /// Columns: inputs of the product.
    pub fn n_in(&self) -> usize {
        self.n_in
    }
}

/// The cells and the scales of a format in which groups of 32 inputs have scales of their own, so many bytes of each.
fn split(
    bytes: &[u8],
    n_bytes: Option<(usize, usize)>,
    n_in: usize,
) -> Result<(&[u8], &[u8]), MatrixError> {
    if !n_in.is_multiple_of(GROUP) {
        return Err(MatrixError::Group { n_in });
    }
    let (n_cells, _) = n_bytes.ok_or(MatrixError::TooLarge)?;
    let expected = total(n_bytes).ok_or(MatrixError::TooLarge)?;
    if bytes.len() != expected {
        return Err(MatrixError::Length { expected, found: bytes.len() });
    }
    Ok(bytes.split_at(n_cells))
}

/// Bytes of cells and scales together; `None` where there cannot be so many.
fn total(n_bytes: Option<(usize, usize)>) -> Option<usize> {
    let (n_cells, n_scales) = n_bytes?;
    n_cells.checked_add(n_scales)
}

pub(crate) fn check(
    bytes: &[u8],
    n_out: usize,
    n_in: usize,
    cell: usize,
) -> Result<(), MatrixError> {
    let expected = n_out
        .checked_mul(n_in)
        .and_then(|cells| cells.checked_mul(cell))
        .ok_or(MatrixError::TooLarge)?;
    if bytes.len() != expected {
        return Err(MatrixError::Length { expected, found: bytes.len() });
    }
    Ok(())
}
