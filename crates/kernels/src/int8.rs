//! Products in 8-bit integers: activations and weights as small integers with a scale for every group of 32.
//!
//! Four inputs of an output lie side by side, as the instructions want them: of every eight the even ones, then the
//! odd ones, which is how packed MXFP4 comes apart. Weights are raised so that none is negative; what that adds to a sum
//! is known from the activations alone, and every sum starts from as much below zero.

use crate::bf16::widened;
use crate::dispatch::Kernels;
use crate::matrix::{Cells, GROUP, Matrix};
use crate::mxfp4::{self, AHEAD, Codes};
use crate::pool::{Pool, SharedOut};
use crate::recipe::{Recipe, RowGroup, Slabs};
use crate::slab::{DEEP, Place, WIDE};

/// Inputs that lie side by side.
pub(crate) const QUAD: usize = 4;
/// Activations of as many inputs, the first in the lowest byte.
pub(crate) type Quad = i32;
/// The largest integer of an activation or a weight, and minus the smallest.
pub(crate) const MOST: f32 = 127.0;
/// What 8-bit weights and doubled 4-bit floats are raised by.
pub(crate) const OFFSET: u8 = 128;
/// The bfloat16 that stands for "not a number".
const NO_NUMBER: u16 = 0x7fc0;
/// Groups without a larger activation count as zeros: the inverse of their scale would be no number.
pub(crate) const NOTHING: f32 = 1e-30;

/// [`Int8::DEEP`] inputs of `WIDE` outputs of an MXFP4 matrix.
#[repr(C, align(64))]
pub(crate) struct Slab {
    /// `[DEEP / 4, WIDE, 4]`: twice the 4-bit float, raised by [`OFFSET`].
    pub(crate) cells: [u8; Int8::DEEP * WIDE],
    /// `[DEEP / 32, WIDE]`
    pub(crate) scales: [f32; Int8::DEEP / GROUP * WIDE],
}

impl Slab {
    pub(crate) fn boxed() -> Box<Slab> {
        Box::new(Slab { cells: [0; Int8::DEEP * WIDE], scales: [0.0; Int8::DEEP / GROUP * WIDE] })
    }
}

/// Weights of a place.
#[derive(Clone, Copy)]
pub(crate) struct Weights<'a> {
    /// `[n_k / 4, WIDE, 4]`
    pub(crate) cells: &'a [u8],
    /// `[n_k / 32, WIDE]`
    pub(crate) scales: &'a [f32],
    /// How many bytes ahead memory is to be asked: none where the cells are in a slab.
    pub(crate) ahead: usize,
}

/// Activations, group of rows behind group of rows.
pub(crate) struct Packed {
    /// `[n_in / 4, n]` of each group of `n` rows.
    quads: Vec<Quad>,
    /// `[n_in / 32, n]`
    scales: Vec<f32>,
    /// Under each scale what the sum of its products starts from: minus [`OFFSET`] times the sum of its cells.
    starts: Vec<i32>,
}

/// Where one row of activations goes: each slice begins with its first value.
pub(crate) struct Rounded<'a> {
    pub(crate) quads: &'a mut [Quad],
    pub(crate) scales: &'a mut [f32],
    pub(crate) starts: &'a mut [i32],
}

/// Activations of a place in one group of rows; parts of [`Packed`].
#[derive(Clone, Copy)]
pub(crate) struct Activations<'a> {
    pub(crate) quads: &'a [Quad],
    pub(crate) scales: &'a [f32],
    pub(crate) starts: &'a [i32],
    /// Rows.
    pub(crate) n: usize,
}

/// Sums of 32 are exact; their total is a float.
pub(crate) enum Int8 {}

impl Recipe for Int8 {
    const ROWS: usize = 12;
    /// As many bytes as other slabs: totals are loaded and stored a quarter as often.
    const DEEP: usize = 4 * DEEP;
    type Packed<'x> = Packed;
    type View<'s> = Weights<'s>;

    fn pack(kernels: &Kernels, pool: &Pool, x: &[f32], n_rows: usize) -> Packed {
        let n_in = x.len().checked_div(n_rows).unwrap_or(0);
        let mut quads: Vec<Quad> = vec![0; x.len() / QUAD];
        let mut scales = vec![0.0; x.len() / GROUP];
        let mut starts = vec![0; x.len() / GROUP];
        let (all_quads, all_scales, all_starts) =
            (SharedOut::new(&mut quads), SharedOut::new(&mut scales), SharedOut::new(&mut starts));
        Int8::for_groups(pool, n_rows, n_in, &|group| {
            let RowGroup { start, n, .. } = group;
            // SAFETY: the groups' ranges lie inside and do not overlap, and each comes once.
            let (quads, scales, starts) = unsafe {
                let (first, n_scales) = (start * n_in / GROUP, n * n_in / GROUP);
                (
                    all_quads.range(start * n_in / QUAD, n * n_in / QUAD),
                    all_scales.range(first, n_scales),
                    all_starts.range(first, n_scales),
                )
            };
            for (r, row) in group.rows(x).enumerate() {
                let out = Rounded {
                    quads: &mut quads[r..],
                    scales: &mut scales[r..],
                    starts: &mut starts[r..],
                };
                (kernels.round_int8)(row, out, n);
            }
        });
        Packed { quads, scales, starts }
    }

    /// 4-bit floats are doubled, which makes them integers.
    fn unit(w: &Matrix<'_>) -> f32 {
        if matches!(w.cells, Cells::Mxfp4 { .. }) { 0.5 } else { 1.0 }
    }

    fn accumulate_codes(
        kernels: &Kernels,
        packed: &Packed,
        rows: RowGroup,
        codes: Codes<'_>,
        totals: &mut [f32],
    ) -> bool {
        let Some(direct) = kernels.direct.int8 else { return false };
        let Packed { quads, scales, starts } = packed;
        direct(Activations { quads, scales, starts, n: rows.n }, codes, totals);
        true
    }

    fn fill<'s>(
        kernels: &Kernels,
        w: &Matrix<'s>,
        place: Place,
        _ahead: &[u8],
        slabs: &'s mut Slabs,
    ) -> Weights<'s> {
        let slab = &mut *slabs.int8;
        let n_scales = place.n_k / GROUP * WIDE;
        match w.cells {
            Cells::Int8 { cells, scales } => {
                let start = (place.row / WIDE * w.n_in + place.k) * WIDE;
                let scales = &scales[start / GROUP * 2..][..n_scales * 2];
                (kernels.unpack_bf16)(scales, &mut slab.scales[..n_scales]);
                let cells = &cells[start..][..place.n_k * WIDE];
                Weights { cells, scales: &slab.scales[..n_scales], ahead: AHEAD }
            }
            Cells::Mxfp4 { codes, scales } => {
                let cells = &mut slab.cells[..place.n_k * WIDE];
                (kernels.unpack.integers)(mxfp4::codes_at(w, codes, place), cells);
                let own = &mut slab.scales[..n_scales];
                (kernels.unpack.scales)(mxfp4::scales_at(w, scales, place), own);
                Weights { cells, scales: own, ahead: 0 }
            }
            _ => unreachable!("other formats are multiplied exactly"),
        }
    }

    fn accumulate(
        kernels: &Kernels,
        packed: &Packed,
        rows: RowGroup,
        place: Place,
        weights: &Weights<'_>,
        totals: &mut [f32],
    ) {
        let x = Activations {
            quads: rows.part(&packed.quads, place, QUAD),
            scales: rows.part(&packed.scales, place, GROUP),
            starts: rows.part(&packed.starts, place, GROUP),
            n: rows.n,
        };
        (kernels.accumulate_int8)(x, *weights, totals);
    }
}

/// The largest magnitude; what is no number does not count.
pub(crate) fn largest(values: &[f32; GROUP]) -> f32 {
    values.iter().fold(0.0, |most, value| most.max(value.abs()))
}

/// The nearest integer that a cell can hold, of two the even one; for magnitudes below 2^22.
pub(crate) fn integer(value: f32) -> i32 {
    // In this range the floats are the whole numbers.
    const WHOLE: f32 = 12_582_912.0;
    let nearest = (value + WHOLE).to_bits().wrapping_sub(WHOLE.to_bits()) as i32;
    nearest.clamp(-(MOST as i32), MOST as i32)
}

/// Where an input stands among the quads.
pub(crate) fn in_quads(k: usize) -> usize {
    let (eight, within) = (k / 8 * 8, k % 8);
    eight + within % 2 * QUAD + within / 2
}

/// Bytes of the stored form of an 8-bit matrix: cells `[tiles, n_in / 4, WIDE, 4]`, then for every 32 inputs the scales
/// as bfloat16, `[tiles, n_in / 32, WIDE]`. A tile has `WIDE` outputs; those that are too many are zero.
pub(crate) fn n_bytes(n_out: usize, n_in: usize) -> Option<(usize, usize)> {
    let n_cells = n_out.div_ceil(WIDE).checked_mul(WIDE)?.checked_mul(n_in)?;
    Some((n_cells, n_cells / GROUP * 2))
}

/// One cell of a stored matrix, without its scale.
pub(crate) fn unscaled(cells: &[u8], n_in: usize, row: usize, k: usize) -> f32 {
    let place = in_quads(k);
    let line = row / WIDE * n_in * WIDE + place / QUAD * QUAD * WIDE;
    let cell = cells[line + row % WIDE * QUAD + place % QUAD];
    f32::from(cell) - f32::from(OFFSET)
}

/// The scale of one row's group of 32.
pub(crate) fn scale(scales: &[u8], n_in: usize, row: usize, group: usize) -> f32 {
    let at = (row / WIDE * n_in / GROUP + group) * WIDE + row % WIDE;
    widened(u16::from_le_bytes([scales[2 * at], scales[2 * at + 1]]))
}

impl Kernels {
    /// The bytes for [`Matrix::int8`] of `w` in 8-bit integers with a bfloat16 scale for every 32 inputs. A cell is off by
    /// at most half its scale, which is about 1/127 of the largest of its group.
    ///
    /// # Panics
    /// When the inputs are no multiple of 32, or `out` has another length than [`Matrix::int8_len`] says.
    pub fn to_int8(&self, pool: &Pool, w: &Matrix<'_>, out: &mut [u8]) {
        assert!(w.n_in.is_multiple_of(GROUP), "groups are of 32 inputs");
        assert_eq!(Some(out.len()), Matrix::int8_len(w.n_out, w.n_in), "out holds the matrix");
        let (n_cells, _) = n_bytes(w.n_out, w.n_in).expect("it is in memory already");
        let (cells, scales) = out.split_at_mut(n_cells);
        let (cells, scales) = (SharedOut::new(cells), SharedOut::new(scales));
        let n_tile = WIDE * w.n_in;
        pool.run(n_cells.checked_div(n_tile).unwrap_or(0), &|tile| {
            // SAFETY: tiles lie inside and do not overlap, and each comes once.
            let (cells, scales) = unsafe {
                let n_scales = n_tile / GROUP * 2;
                (cells.range(tile * n_tile, n_tile), scales.range(tile * n_scales, n_scales))
            };
            cells.fill(OFFSET);
            let mut row = vec![0.0; w.n_in];
            for lane in 0..WIDE.min(w.n_out - tile * WIDE) {
                self.unpack_rows(w, tile * WIDE + lane, &mut row);
                for (g, values) in row.as_chunks::<GROUP>().0.iter().enumerate() {
                    let scale = store(values, &mut cells[g * GROUP * WIDE..], lane);
                    let at = (g * WIDE + lane) * 2;
                    scales[at..at + 2].copy_from_slice(&scale.to_le_bytes());
                }
            }
        });
    }
}

/// Writes one output's group of 32 into its lines; returns the scale as bfloat16.
fn store(values: &[f32; GROUP], lines: &mut [u8], lane: usize) -> u16 {
    let most = largest(values);
    if values.iter().any(|value| !value.is_finite()) {
        // No number, and so is every sum with it.
        return NO_NUMBER;
    }
    // Rounded up: no cell is then beyond the largest integer.
    let upper = ((most / MOST).to_bits() + 0xffff) >> 16;
    let scale = f32::from_bits(upper << 16);
    let inverse = if most > NOTHING { 1.0 / scale } else { 0.0 };
    for (at, value) in values.iter().enumerate() {
        let place = in_quads(at);
        let cell = integer(value * inverse) + i32::from(OFFSET);
        lines[place / QUAD * QUAD * WIDE + lane * QUAD + place % QUAD] = cell as u8;
    }
    upper as u16
}
