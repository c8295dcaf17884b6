//! The one matrix product: fill a slab of weights, then use it for all rows of `x`.
//!
//! A pair of row and output is summed group by group of 32 inputs: a group in ascending order, its sum times its
//! scale on top of the total. All instruction sets keep that order, and it depends on nothing else.

use std::cell::RefCell;

use crate::dispatch::Kernels;
use crate::matrix::{Cells, GROUP, GROUP_BYTES, Matrix};
use crate::pool::{Pool, SharedOut};
use crate::slab::{DEEP, Place, Slab, WIDE, unpack_f32};

/// Rows of `x` whose sums are held in registers together, at most.
const ROWS: usize = 12;
/// Slabs' widths that a thread takes at once: enough that threads rarely meet, few enough that they end together.
const TILES: usize = 2;

/// One product of many: `out[r, n] = sum over k of x[r, k] * w[n, k], + bias[n]`.
#[derive(Debug)]
pub struct Product<'a> {
    /// `[n_rows, n_in]`
    pub x: &'a [f32],
    /// `[n_out, n_in]`
    pub w: Matrix<'a>,
    /// `[n_out]`
    pub bias: Option<&'a [f32]>,
    /// `[n_rows, n_out]`
    pub out: &'a mut [f32],
}

/// A product under way.
struct Job<'a> {
    /// The rows in groups of at most [`ROWS`], each `[n_in, rows of the group]`.
    x: &'a [f32],
    n_rows: usize,
    w: Matrix<'a>,
    bias: Option<&'a [f32]>,
    out: SharedOut<'a>,
    /// The first of its tasks among those of all products.
    first_task: usize,
}

/// What a thread keeps between tasks.
struct Scratch {
    slab: Box<Slab>,
    /// `[n_rows, WIDE]`
    totals: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> =
        RefCell::new(Scratch { slab: Slab::boxed(), totals: Vec::new() });
}

impl Kernels {
    /// `out[r, n] = sum over k of x[r, k] * w[n, k], + bias[n]`; `x` is `[n_rows, n_in]`, `out`
    /// `[n_rows, n_out]`. For a pair (r, n) the order of the sum depends on `n_in` alone.
    ///
    /// # Panics
    /// When the slices do not fit the shapes.
    pub fn matmul(
        &self,
        pool: &Pool,
        x: &[f32],
        w: &Matrix<'_>,
        bias: Option<&[f32]>,
        out: &mut [f32],
    ) {
        self.matmuls(pool, &mut [Product { x, w: *w, bias, out }]);
    }

    /// Many products at once, the threads going from one to the next without waiting for each other.
    ///
    /// # Panics
    /// As [`Kernels::matmul`].
    pub fn matmuls(&self, pool: &Pool, products: &mut [Product<'_>]) {
        let mut packed = Vec::new();
        for product in &*products {
            let n_rows = product.check();
            // One row is its own packing.
            packed.push(if n_rows > 1 { pack(pool, product.x, n_rows) } else { Vec::new() });
        }
        let mut n_tasks = 0;
        let mut jobs = Vec::with_capacity(products.len());
        for (product, packed) in products.iter_mut().zip(&packed) {
            let n_rows = product.check();
            let x = if n_rows > 1 { packed.as_slice() } else { product.x };
            let first_task = n_tasks;
            if n_rows > 0 {
                n_tasks += product.w.n_out.div_ceil(WIDE * TILES);
            }
            let (w, bias, out) = (product.w, product.bias, SharedOut::new(product.out));
            jobs.push(Job { x, n_rows, w, bias, out, first_task });
        }
        pool.run(n_tasks, &|task| {
            let job = jobs.partition_point(|job| job.first_task <= task) - 1;
            let job = &jobs[job];
            SCRATCH.with_borrow_mut(|scratch| self.tiles(job, task - job.first_task, scratch));
        });
    }

    /// The outputs of one task.
    fn tiles(&self, job: &Job<'_>, task: usize, scratch: &mut Scratch) {
        let end = ((task + 1) * TILES * WIDE).min(job.w.n_out);
        for first in (task * TILES * WIDE..end).step_by(WIDE) {
            let n_tile = WIDE.min(end - first);
            scratch.totals.clear();
            scratch.totals.resize(job.n_rows * WIDE, 0.0);
            self.sum_tile(job, first, n_tile, scratch);
            for (row, totals) in scratch.totals.chunks_exact(WIDE).enumerate() {
                // SAFETY: row < n_rows and first + n_tile <= n_out, so the range is inside `out`; the
                // tasks' column ranges are disjoint, so no other thread touches it.
                let target = unsafe { job.out.range(row * job.w.n_out + first, n_tile) };
                match job.bias {
                    None => target.copy_from_slice(&totals[..n_tile]),
                    Some(bias) => {
                        for (at, cell) in target.iter_mut().enumerate() {
                            *cell = totals[at] + bias[first + at];
                        }
                    }
                }
            }
        }
    }

    fn sum_tile(&self, job: &Job<'_>, first: usize, n_tile: usize, scratch: &mut Scratch) {
        let n_in = job.w.n_in;
        for k in (0..n_in).step_by(DEEP) {
            let place = Place { row: first, n_rows: n_tile, k, n_k: DEEP.min(n_in - k) };
            (self.fill)(self, &job.w, place, ahead(&job.w, place), &mut scratch.slab);
            for (start, n) in row_groups(job.n_rows) {
                let x = &job.x[start * n_in + k * n..][..place.n_k * n];
                let totals = &mut scratch.totals[start * WIDE..][..n * WIDE];
                (self.accumulate)(x, n, &scratch.slab, totals);
            }
        }
    }

    /// Rows `first..` of `w` as floats, exactly; as many as `out` holds.
    ///
    /// # Panics
    /// When `w` has fewer rows.
    pub fn unpack_rows(&self, w: &Matrix<'_>, first: usize, out: &mut [f32]) {
        let (start, end) = (first * w.n_in, first * w.n_in + out.len());
        match w.cells {
            Cells::F32(bytes) => unpack_f32(&bytes[start * 4..end * 4], out),
            Cells::F16(bytes) => (self.unpack_f16)(&bytes[start * 2..end * 2], out),
            Cells::Bf16(bytes) => (self.unpack_bf16)(&bytes[start * 2..end * 2], out),
            Cells::Mxfp4 { blocks, scales } => {
                let (from, to) = (start / GROUP, end / GROUP);
                (self.unpack_mxfp4)(
                    &blocks[from * GROUP_BYTES..to * GROUP_BYTES],
                    &scales[from..to],
                    out,
                );
            }
        }
    }

    /// `sum of a[i] * b[i]`
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn dot(&self, a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len());
        (self.dot)(a, b)
    }
}

impl Product<'_> {
    /// Checks the shapes; gives the number of rows, 0 where there is nothing to do.
    fn check(&self) -> usize {
        let w = &self.w;
        if w.n_in == 0 || w.n_out == 0 {
            assert!(self.out.is_empty(), "out is [n_rows, n_out]");
            return 0;
        }
        assert_eq!(self.x.len() % w.n_in, 0, "x is [n_rows, n_in]");
        let n_rows = self.x.len() / w.n_in;
        assert_eq!(self.out.len(), n_rows * w.n_out, "out is [n_rows, n_out]");
        assert!(self.bias.is_none_or(|bias| bias.len() == w.n_out), "bias is [n_out]");
        n_rows
    }
}

/// The rows cut into as few groups as can be, all nearly equal: the first row and the length of each.
fn row_groups(n_rows: usize) -> impl Iterator<Item = (usize, usize)> {
    let n_groups = n_rows.div_ceil(ROWS);
    (0..n_groups).map(move |at| {
        let start = at * n_rows / n_groups;
        (start, (at + 1) * n_rows / n_groups - start)
    })
}

/// Every group of rows as `[n_in, rows of the group]`.
fn pack(pool: &Pool, x: &[f32], n_rows: usize) -> Vec<f32> {
    let n_in = x.len() / n_rows;
    let mut packed = vec![0.0; x.len()];
    let out = SharedOut::new(&mut packed);
    let groups: Vec<(usize, usize)> = row_groups(n_rows).collect();
    pool.run(groups.len(), &|at| {
        let (start, n) = groups[at];
        // SAFETY: the groups' ranges lie inside and do not overlap, and each comes once.
        let out = unsafe { out.range(start * n_in, n * n_in) };
        for (r, row) in x[start * n_in..][..n * n_in].chunks_exact(n_in).enumerate() {
            for (k, value) in row.iter().enumerate() {
                out[k * n + r] = *value;
            }
        }
    });
    packed
}

/// A share of the bytes behind a tile, as large as the slab's share of the tile: they are asked for in the order
/// in which they lie in memory, while the tile is read in pieces of many rows.
fn ahead<'a>(w: &Matrix<'a>, place: Place) -> &'a [u8] {
    let (bytes, n_row) = match w.cells {
        Cells::F32(bytes) => (bytes, w.n_in * 4),
        Cells::F16(bytes) | Cells::Bf16(bytes) => (bytes, w.n_in * 2),
        Cells::Mxfp4 { blocks, .. } => (blocks, w.n_in / GROUP * GROUP_BYTES),
    };
    let n_tile = n_row * WIDE;
    let start = place.row * n_row + n_tile;
    let (from, to) = (n_tile * place.k / w.n_in, n_tile * (place.k + place.n_k) / w.n_in);
    bytes.get(start + from..(start + to).min(bytes.len())).unwrap_or_default()
}
