//! Products in bfloat16: activations rounded to it, weights as they are stored, sums in 32-bit floats.
//!
//! The product of two such numbers is exact in 32 bits, so that only the sums round. Two inputs of an output lie side
//! by side, as the instructions want them. Numbers below the smallest normal one may count as nothing, because the
//! instructions have it so.

use crate::dispatch::Kernels;
use crate::matrix::{Cells, GROUP, Matrix};
use crate::mxfp4;
use crate::pool::{Pool, SharedOut};
use crate::recipe::{Recipe, RowGroup, Slabs};
use crate::slab::{DEEP, Place, WIDE};

/// Rows of a tile. So many are summed even where there are fewer.
pub(crate) const TILE_ROWS: usize = 16;
/// Inputs that lie side by side.
pub(crate) const PAIR: usize = 2;

/// [`Bf16::DEEP`] inputs of `WIDE` outputs.
#[repr(C, align(64))]
pub(crate) struct Slab {
    /// `[inputs / 2, WIDE, 2]`; behind the last input zeros, up to a whole group.
    pub(crate) cells: [u16; Bf16::DEEP * WIDE],
}

impl Slab {
    pub(crate) fn boxed() -> Box<Slab> {
        Box::new(Slab { cells: [0; Bf16::DEEP * WIDE] })
    }
}

/// 32 inputs of one row of activations.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [u16; GROUP]);

/// Activations of a place in one group of rows.
#[derive(Clone, Copy)]
pub(crate) struct Activations<'a> {
    /// `[n_groups, n]`, and behind them at least as many as make the last rows whole tiles.
    pub(crate) lines: &'a [Line],
    /// Groups of 32 inputs.
    pub(crate) n_groups: usize,
    /// Rows.
    pub(crate) n: usize,
}

/// Sums of 32, one on top of the other.
pub(crate) enum Bf16 {}

impl Recipe for Bf16 {
    const ROWS: usize = 2 * TILE_ROWS;
    const ROUND: usize = TILE_ROWS;
    /// As many bytes as other slabs: totals are loaded and stored half as often.
    const DEEP: usize = 2 * DEEP;
    /// Every group of rows as `[n_in / 32, rows of the group]`.
    type Packed<'x> = Vec<Line>;
    type View<'s> = &'s Slab;

    /// As many full groups as there can be: a part of a tile takes as long as all of it.
    fn groups(n_rows: usize, n_in: usize) -> impl Iterator<Item = RowGroup> {
        (0..n_rows).step_by(Bf16::ROWS).map(move |start| RowGroup {
            start,
            n: Bf16::ROWS.min(n_rows - start),
            n_in,
        })
    }

    fn pack(kernels: &Kernels, pool: &Pool, x: &[f32], n_rows: usize) -> Vec<Line> {
        let n_in = x.len().checked_div(n_rows).unwrap_or(0);
        let n_lines = n_in.div_ceil(GROUP);
        let mut lines = vec![Line([0; GROUP]); n_rows * n_lines + TILE_ROWS];
        let out = SharedOut::new(&mut lines);
        Bf16::for_groups(pool, n_rows, n_in, &|group| {
            let RowGroup { start, n, .. } = group;
            // SAFETY: the groups' ranges lie inside and do not overlap, and each comes once.
            let lines = unsafe { out.range(start * n_lines, n * n_lines) };
            for (r, row) in group.rows(x).enumerate() {
                (kernels.round_bf16)(row, &mut lines[r..], n);
            }
        });
        lines
    }

    fn around(kernels: &Kernels, task: &mut dyn FnMut()) {
        (kernels.around_bf16)(task);
    }

    fn fill<'s>(
        kernels: &Kernels,
        w: &Matrix<'s>,
        place: Place,
        ahead: &[u8],
        slabs: &'s mut Slabs,
    ) -> &'s Slab {
        if let Cells::Mxfp4 { codes, scales } = w.cells {
            let cells = &mut slabs.bf16.cells[..place.n_k * WIDE];
            let (codes, scales) =
                (mxfp4::codes_at(w, codes, place), mxfp4::scales_at(w, scales, place));
            (kernels.unpack.pairs)(codes, scales, cells);
            return &slabs.bf16;
        }
        let share = |k| ahead.len() * (k - place.k) / place.n_k;
        let cells = slabs.bf16.cells.chunks_exact_mut(DEEP * WIDE);
        for (piece, cells) in place.pieces().zip(cells) {
            let ahead = &ahead[share(piece.k)..share(piece.k + piece.n_k)];
            (kernels.fill_bf16)(w, piece, ahead, cells);
        }
        &slabs.bf16
    }

    fn accumulate(
        kernels: &Kernels,
        packed: &Vec<Line>,
        rows: RowGroup,
        place: Place,
        weights: &&Slab,
        totals: &mut [f32],
    ) {
        let first = rows.start * rows.n_in.div_ceil(GROUP) + place.k / GROUP * rows.n;
        let n_groups = place.n_k.div_ceil(GROUP);
        let x = Activations { lines: &packed[first..], n_groups, n: rows.n };
        (kernels.accumulate_bf16)(x, weights, totals);
    }
}

/// The nearest bfloat16, of two the one whose last bit is zero. What is no number stays none.
pub(crate) fn nearest(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = if value.is_nan() {
        // The upper half alone could be that of infinity.
        bits | 0x0040_0000
    } else {
        bits + 0x7fff + ((bits >> 16) & 1)
    };
    (rounded >> 16) as u16
}

/// A bfloat16 as a 32-bit float.
pub(crate) fn widened(cell: u16) -> f32 {
    f32::from_bits(u32::from(cell) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Matrix;
    use crate::scalar;
    use crate::slab::Place;

    /// Numbers in -4..4 from a seed.
    fn noise(n: usize, seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        (0..n)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
                (state >> 40) as f32 / (1 << 21) as f32 - 4.0
            })
            .collect()
    }

    fn lines(n_rows: usize, n_in: usize, seed: u64) -> Vec<Line> {
        let n_groups = n_in.div_ceil(GROUP);
        let mut lines = vec![Line([0; GROUP]); n_groups * n_rows];
        for (r, row) in noise(n_rows * n_in, seed).chunks(n_in).enumerate() {
            scalar::bf16::round(row, &mut lines[r..], n_rows);
        }
        lines
    }

    #[test]
    fn rounding_goes_to_the_nearest_and_of_two_to_the_even() {
        for (value, cell) in [
            (0.0, 0),
            (-0.0, 0x8000),
            (1.0, 0x3f80),
            (1.0 + 1.0 / 256.0, 0x3f80),
            (1.0 + 3.0 / 256.0, 0x3f82),
            (1.0 + 1.1 / 256.0, 0x3f81),
            (f32::MAX, 0x7f80),
            (f32::NEG_INFINITY, 0xff80),
            (1e-40, 0x0001),
        ] {
            assert_eq!(nearest(value), cell, "{value}");
        }
        assert!(widened(nearest(f32::from_bits(0x7f80_0001))).is_nan());
        assert!(widened(nearest(f32::from_bits(0xffff_ffff))).is_nan());
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn twins_round_fill_and_sum_alike() {
        use crate::avx512;
        if !crate::Isa::has_bf16() {
            return;
        }
        for seed in 0..200_u64 {
            let n_rows = 1 + seed as usize % 33;
            let n_k = 1 + seed as usize * 37 % 128;
            let n_groups = n_k.div_ceil(GROUP);
            let x = lines(n_rows, n_k, seed);
            let stored: Vec<u8> =
                noise(40 * 200, seed ^ 5).iter().flat_map(|w| nearest(*w).to_le_bytes()).collect();
            let w = Matrix::bf16(&stored, 40, 200).expect("the shape fits");
            let place = Place { row: 8 * (seed as usize % 2), n_rows: 32, k: 0, n_k };
            let (mut a, mut b) = (Slab::boxed(), Slab::boxed());
            scalar::bf16::fill(&w, place, &[], &mut a.cells[..DEEP * WIDE]);
            avx512::bf16::fill(&w, place, &[], &mut b.cells[..DEEP * WIDE]);
            assert!(a.cells == b.cells, "seed {seed}");
            let x = Activations { lines: &x, n_groups, n: n_rows };
            let (mut one, mut two) = (vec![0.0; n_rows * WIDE], vec![0.0; n_rows * WIDE]);
            scalar::bf16::accumulate(x, &a, &mut one);
            avx512::bf16::accumulate(x, &a, &mut two);
            assert_eq!(one, two, "seed {seed}");
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn rows_are_rounded_alike() {
        use crate::avx512;
        if !crate::Isa::Avx512.is_present() {
            return;
        }
        for n_in in 1..100 {
            let mut row = noise(n_in, n_in as u64);
            row[n_in / 2] = f32::from_bits(0x7f80_0001);
            row[n_in / 3] = 1e-40;
            let mut twins = [vec![Line([1; GROUP]); 12], vec![Line([1; GROUP]); 12]];
            scalar::bf16::round(&row, &mut twins[0], 3);
            avx512::bf16::round(&row, &mut twins[1], 3);
            assert!(twins[0].iter().zip(&twins[1]).all(|(a, b)| a.0 == b.0), "{n_in} inputs");
        }
    }
}
