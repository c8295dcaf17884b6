//! What the arithmetics differ in: how rows are packed, what is made of weights, how the two are summed.

use crate::dispatch::Kernels;
use crate::matrix::Matrix;
use crate::mxfp4::Codes;
use crate::pool::Pool;
use crate::slab::{DEEP, Place, Slab};
use crate::{bf16, int8};

/// How one arithmetic packs rows, what it makes of weights, and how the two are summed.
pub(crate) trait Recipe {
    /// Rows that are summed together, at most.
    const ROWS: usize;
    /// Totals of a group come in multiples of so many rows; nobody looks at those of rows that there are not.
    const ROUND: usize = 1;
    /// Inputs that are summed at once: as many as slabs hold, or a multiple of that.
    const DEEP: usize = DEEP;
    /// Rows of `x` in the form that sums want, group of rows behind group of rows.
    type Packed<'x>: Send + Sync;
    /// Weights as sums want them.
    type View<'s>;

    /// The rows cut into groups.
    fn groups(n_rows: usize, n_in: usize) -> impl Iterator<Item = RowGroup> {
        row_groups(n_rows, n_in, Self::ROWS)
    }

    /// Calls `task` with each group, on any thread.
    fn for_groups(pool: &Pool, n_rows: usize, n_in: usize, task: &(dyn Fn(RowGroup) + Sync)) {
        let groups: Vec<RowGroup> = Self::groups(n_rows, n_in).collect();
        pool.run(groups.len(), &|at| task(groups[at]));
    }

    /// Packs the groups of `x` `[n_rows, n_in]`.
    fn pack<'x>(kernels: &Kernels, pool: &Pool, x: &'x [f32], n_rows: usize) -> Self::Packed<'x>;

    /// Runs a thread's task with whatever its sums need switched on.
    fn around(_kernels: &Kernels, task: &mut dyn FnMut()) {
        task();
    }

    /// What totals are multiplied by when all of them are summed: sums over doubled weights are twice too large.
    fn unit(_w: &Matrix<'_>) -> f32 {
        1.0
    }

    /// Sums all inputs of one group of rows straight from a tile's codes, into `totals` that are zero before; `false` where
    /// this table or arithmetic has to unpack them first.
    fn accumulate_codes(
        _kernels: &Kernels,
        _packed: &Self::Packed<'_>,
        _rows: RowGroup,
        _codes: Codes<'_>,
        _totals: &mut [f32],
    ) -> bool {
        false
    }

    /// The weights of a place; `ahead` are bytes that are needed next.
    fn fill<'s>(
        kernels: &Kernels,
        w: &Matrix<'s>,
        place: Place,
        ahead: &[u8],
        slabs: &'s mut Slabs,
    ) -> Self::View<'s>;

    /// Sums the inputs of a place for one group of rows, on top of `totals` `[rows of the group, WIDE]`, which begin at
    /// a multiple of 64 bytes.
    fn accumulate(
        kernels: &Kernels,
        packed: &Self::Packed<'_>,
        rows: RowGroup,
        place: Place,
        weights: &Self::View<'_>,
        totals: &mut [f32],
    );
}

/// Rows that are summed together.
#[derive(Clone, Copy)]
pub(crate) struct RowGroup {
    pub(crate) start: usize,
    pub(crate) n: usize,
    /// Inputs of every row.
    pub(crate) n_in: usize,
}

impl RowGroup {
    /// The group's rows of `x`.
    pub(crate) fn rows(self, x: &[f32]) -> impl Iterator<Item = &[f32]> {
        x[self.start * self.n_in..][..self.n * self.n_in].chunks_exact(self.n_in)
    }

    /// The cells of the inputs of a place, `[n_k, n]`, among packed rows with `1 / per` cells an input.
    pub(crate) fn part<T>(self, packed: &[T], place: Place, per: usize) -> &[T] {
        &packed[(self.start * self.n_in + place.k * self.n) / per..][..place.n_k * self.n / per]
    }
}

/// A slab for each recipe.
pub(crate) struct Slabs {
    pub(crate) exact: Box<Slab>,
    pub(crate) int8: Box<int8::Slab>,
    pub(crate) bf16: Box<bf16::Slab>,
}

impl Slabs {
    pub(crate) fn new() -> Slabs {
        Slabs { exact: Slab::boxed(), int8: int8::Slab::boxed(), bf16: bf16::Slab::boxed() }
    }
}

/// The rows cut into as few groups as can be, all nearly equal.
pub(crate) fn row_groups(
    n_rows: usize,
    n_in: usize,
    most: usize,
) -> impl Iterator<Item = RowGroup> {
    let n_groups = n_rows.div_ceil(most);
    (0..n_groups).map(move |at| {
        let start = at * n_rows / n_groups;
        RowGroup { start, n: (at + 1) * n_rows / n_groups - start, n_in }
    })
}
