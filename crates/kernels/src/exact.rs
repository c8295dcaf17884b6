//! Products in 32-bit floats, the same bits on every instruction set.

use std::borrow::Cow;

use crate::dispatch::Kernels;
use crate::matrix::{Cells, Matrix};
use crate::mxfp4::{self, Codes};
use crate::pool::{Pool, SharedOut};
use crate::recipe::{Recipe, RowGroup, Slabs};
use crate::slab::{Place, Slab, WIDE};

/// A group is summed in ascending order.
pub(crate) enum Exact {}

impl Recipe for Exact {
    const ROWS: usize = 12;
    /// Every group of rows as `[n_in, rows of the group]`.
    type Packed<'x> = Cow<'x, [f32]>;
    type View<'s> = &'s Slab;

    fn pack<'x>(_kernels: &Kernels, pool: &Pool, x: &'x [f32], n_rows: usize) -> Cow<'x, [f32]> {
        // One row is its own packing.
        if n_rows > 1 { Cow::Owned(pack(pool, x, n_rows)) } else { Cow::Borrowed(x) }
    }

    fn accumulate_codes(
        kernels: &Kernels,
        packed: &Cow<'_, [f32]>,
        rows: RowGroup,
        codes: Codes<'_>,
        totals: &mut [f32],
    ) -> bool {
        let Some(direct) = kernels.direct.exact else { return false };
        direct(packed, rows.n, codes, totals);
        true
    }

    fn fill<'s>(
        kernels: &Kernels,
        w: &Matrix<'s>,
        place: Place,
        ahead: &[u8],
        slabs: &'s mut Slabs,
    ) -> &'s Slab {
        let slab = &mut *slabs.exact;
        match w.cells {
            Cells::Mxfp4 { codes, scales } => {
                let codes = mxfp4::codes_at(w, codes, place);
                (kernels.unpack.floats)(codes, &mut slab.cells[..place.n_k * WIDE]);
                let scales = mxfp4::scales_at(w, scales, place);
                (kernels.unpack.scales)(scales, &mut slab.scales[..scales.len()]);
            }
            _ => (kernels.fill)(kernels, w, place, ahead, slab),
        }
        slab
    }

    fn accumulate(
        kernels: &Kernels,
        packed: &Cow<'_, [f32]>,
        rows: RowGroup,
        place: Place,
        weights: &&Slab,
        totals: &mut [f32],
    ) {
        (kernels.accumulate)(rows.part(packed, place, 1), rows.n, weights, totals);
    }
}

fn pack(pool: &Pool, x: &[f32], n_rows: usize) -> Vec<f32> {
    let n_in = x.len() / n_rows;
    let mut packed = vec![0.0; x.len()];
    let out = SharedOut::new(&mut packed);
    Exact::for_groups(pool, n_rows, n_in, &|group| {
        let RowGroup { start, n, .. } = group;
        // SAFETY: the groups' ranges lie inside and do not overlap, and each comes once.
        let out = unsafe { out.range(start * n_in, n * n_in) };
        for (r, row) in group.rows(x).enumerate() {
            for (k, value) in row.iter().enumerate() {
                out[k * n + r] = *value;
            }
        }
    });
    packed
}
