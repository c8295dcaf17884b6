//! Sums of products in bfloat16: 16 rows by 16 outputs by 32 inputs an instruction.

use crate::amx::tile::{burn, one_block, two_blocks, with_tiles};
use crate::bf16::{Activations, Bf16, Line, Slab, TILE_ROWS, nearest};
use crate::ceiling::Burn;
use crate::matrix::GROUP;
use crate::recipe::Recipe;
use crate::scalar;
use crate::slab::WIDE;

/// Four sums under way, as in products of two blocks of rows.
pub(crate) const BURN: Burn = Burn {
    work: |n_rounds| {
        // SAFETY: the CPU has tiles, the process may use them (`works` asks first), and they are switched on.
        around(&mut || unsafe { burn(n_rounds) });
        0.0
    },
    flops: 4 * 2 * TILE_ROWS * TILE_ROWS * GROUP,
};

/// Runs a task with the tiles switched on.
pub(crate) fn around(task: &mut dyn FnMut()) {
    // SAFETY: as above, where tiles are switched on by this very call.
    unsafe { with_tiles(task) }
}

/// `totals[r, n] += sum over a group of x[r, k] * w[n, k]`, group by group; only inside [`around`]. A tile always has
/// 16 rows, those that nobody wants included: what a row gives does not depend on how many there are.
pub(crate) fn accumulate(x: Activations<'_>, slab: &Slab, totals: &mut [f32]) {
    if x.n == 0 || x.n_groups == 0 {
        return;
    }
    let n_summed = x.n.next_multiple_of(TILE_ROWS);
    assert!(n_summed <= Bf16::ROWS && totals.len() >= n_summed * WIDE);
    assert!(x.lines.len() >= (x.n_groups - 1) * x.n + n_summed);
    assert!(x.n_groups * GROUP * WIDE <= slab.cells.len());
    let sums = if n_summed == TILE_ROWS { one_block } else { two_blocks };
    // SAFETY: the table promises tiles; the lengths were just checked.
    unsafe { sums(x.lines.as_ptr(), x.n, slab, x.n_groups, totals.as_mut_ptr()) };
}

/// Multiplies small integers, all sums of which are exact, and compares with the scalar twin.
pub(crate) fn product_is_right() -> bool {
    const N_GROUPS: usize = Bf16::DEEP / GROUP;
    let small = |at: usize| nearest((at * 7 % 13) as f32 - 6.0);
    let mut slab = Slab::boxed();
    slab.cells.iter_mut().enumerate().for_each(|(at, cell)| *cell = small(at / 3));
    let lines: Vec<Line> = (0..N_GROUPS * Bf16::ROWS)
        .map(|at| Line(std::array::from_fn(|k| small(at * 5 + k))))
        .collect();
    [TILE_ROWS, Bf16::ROWS].into_iter().all(|n| {
        let x = Activations { lines: &lines, n_groups: N_GROUPS, n };
        let (mut found, mut expected) = (vec![1.0; n * WIDE], vec![1.0; n * WIDE]);
        around(&mut || accumulate(x, &slab, &mut found));
        scalar::bf16::accumulate(x, &slab, &mut expected);
        found == expected
    })
}
