//! A piece of a weight matrix, laid out for the products: all outputs of an input side by side.

use crate::dispatch::Kernels;
use crate::int8;
use crate::matrix::{Cells, GROUP, Matrix};

/// Outputs of a slab: two vectors of the widest instruction set.
pub(crate) const WIDE: usize = 32;
/// Inputs of a slab: 16 KB of cells, which leaves room in the nearest cache. Whole groups.
pub(crate) const DEEP: usize = 128;

/// Groups of a slab.
pub(crate) const N_GROUPS: usize = DEEP / GROUP;

/// `DEEP` inputs of `WIDE` outputs.
#[repr(C, align(64))]
pub(crate) struct Slab {
    /// `[DEEP, WIDE]`, without their group's scale.
    pub(crate) cells: [f32; DEEP * WIDE],
    /// `[N_GROUPS, WIDE]`: what the sum over a group is multiplied by; 1 in formats without scales.
    pub(crate) scales: [f32; N_GROUPS * WIDE],
}

/// Where a slab lies in its matrix.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// First output.
    pub(crate) row: usize,
    /// Outputs, up to `WIDE`; the cells of the others are not used.
    pub(crate) n_rows: usize,
    /// First input, a multiple of a recipe's depth.
    pub(crate) k: usize,
    /// Inputs, up to a recipe's depth.
    pub(crate) n_k: usize,
}

impl Slab {
    pub(crate) fn boxed() -> Box<Slab> {
        Box::new(Slab { cells: [0.0; DEEP * WIDE], scales: [1.0; N_GROUPS * WIDE] })
    }
}

impl Kernels {
    /// Fills a slab row by row: every format, with this table's unpackers. Instruction sets have shorter ways for
    /// the formats that matter.
    pub(crate) fn fill_by_rows(
        &self,
        w: &Matrix<'_>,
        place: Place,
        _ahead: &[u8],
        slab: &mut Slab,
    ) {
        let mut rows = [0.0; WIDE * DEEP];
        for (row, out) in rows.chunks_exact_mut(DEEP).take(place.n_rows).enumerate() {
            let out = &mut out[..place.n_k];
            match w.cells {
                Cells::Mxfp4 { .. } => unreachable!("tiles are unpacked as they are"),
                Cells::Int8 { cells, scales } => {
                    for (at, value) in out.iter_mut().enumerate() {
                        *value = int8::unscaled(cells, w.n_in, place.row + row, place.k + at);
                    }
                    for (g, lines) in
                        slab.scales.chunks_exact_mut(WIDE).take(place.n_k / GROUP).enumerate()
                    {
                        lines[row] =
                            int8::scale(scales, w.n_in, place.row + row, place.k / GROUP + g);
                    }
                }
                Cells::Bf16(bytes) => (self.unpack_bf16)(place.cells(w, bytes, row, 2), out),
                Cells::F16(bytes) => (self.unpack_f16)(place.cells(w, bytes, row, 2), out),
                Cells::F32(bytes) => unpack_f32(place.cells(w, bytes, row, 4), out),
            }
        }
        if !matches!(w.cells, Cells::Int8 { .. }) {
            slab.scales.fill(1.0);
        }
        (self.turn)(&rows, place.n_k, &mut slab.cells);
    }
}

pub(crate) fn unpack_f32(bytes: &[u8], out: &mut [f32]) {
    for (cell, value) in bytes.as_chunks::<4>().0.iter().zip(out) {
        *value = f32::from_le_bytes(*cell);
    }
}

impl Place {
    /// The same outputs, in pieces of `DEEP` inputs.
    pub(crate) fn pieces(self) -> impl Iterator<Item = Place> {
        let starts = (0..self.n_k).step_by(DEEP);
        starts.map(move |k| Place { k: self.k + k, n_k: DEEP.min(self.n_k - k), ..self })
    }

    /// The bytes of one row, `n_cell` a cell.
    pub(crate) fn cells<'a>(
        self,
        w: &Matrix<'_>,
        bytes: &'a [u8],
        row: usize,
        n_cell: usize,
    ) -> &'a [u8] {
        &bytes[((self.row + row) * w.n_in + self.k) * n_cell..][..self.n_k * n_cell]
    }
}
