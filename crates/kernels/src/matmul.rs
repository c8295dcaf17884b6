//! The one matrix product: fill a slab of weights, then use it for all rows of `x`.
//!
//! How a pair of row and output is summed, [`Recipe`]s differ in (`exact.rs`, `int8.rs`, `bf16.rs`); in each it depends on
//! nothing but the row, the output and the number of inputs.

use std::cell::RefCell;
use std::sync::OnceLock;

use crate::arithmetic::Arithmetic;
use crate::bf16::Bf16;
use crate::dispatch::Kernels;
use crate::exact::Exact;
use crate::int8::{self, Int8};
use crate::matrix::{Cells, GROUP, Matrix};
use crate::mxfp4::{self, Codes};
use crate::pool::{Pool, SharedOut};
use crate::recipe::{Recipe, RowGroup, Slabs};
use crate::slab::{Place, WIDE, unpack_f32};

/// Slabs' widths that a thread takes at once: enough that threads rarely meet, few enough that they end together.
const TILES: usize = 2;
/// Floats of a line of the cache.
const LINE: usize = 16;

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
    /// How exactly.
    pub arithmetic: Arithmetic,
}

/// A product under way.
struct Job<'a, 'x, R: Recipe> {
    packed: &'a R::Packed<'x>,
    n_rows: usize,
    w: Matrix<'a>,
    bias: Option<&'a [f32]>,
    out: SharedOut<'a>,
    /// The first of its tasks among those of all products.
    first_task: usize,
}

thread_local! {
    /// What a thread keeps between tasks: slabs, and totals `[n_rows, WIDE]`.
    static SCRATCH: RefCell<(Slabs, Vec<f32>)> =
        RefCell::new((Slabs::new(), Vec::new()));
}

impl Kernels {
    /// `out[r, n] = sum over k of x[r, k] * w[n, k], + bias[n]`; `x` is `[n_rows, n_in]`, `out`
    /// `[n_rows, n_out]`. For a pair (r, n) the order of the sum depends on `n_in` alone.
    ///
    /// # Panics
    /// When the slices do not fit the shapes.
    pub fn matmul(&self, pool: &Pool, product: Product<'_>) {
        self.matmuls(pool, &mut [product]);
    }

    /// Many products at once, the threads going from one to the next without waiting for each other.
    ///
    /// # Panics
    /// As [`Kernels::matmul`].
    pub fn matmuls(&self, pool: &Pool, products: &mut [Product<'_>]) {
        let (mut exact, mut int8, mut bf16) = (Vec::new(), Vec::new(), Vec::new());
        for product in products {
            match product.w.way(product.arithmetic) {
                Arithmetic::Exact => exact.push(product),
                Arithmetic::Int8 => int8.push(product),
                Arithmetic::Bf16 => bf16.push(product),
            }
        }
        self.multiply::<Exact>(pool, exact);
        self.multiply::<Int8>(pool, int8);
        self.multiply::<Bf16>(pool, bf16);
    }

    fn multiply<R: Recipe>(&self, pool: &Pool, products: Vec<&mut Product<'_>>) {
        // Products of the same rows share their packing.
        let mut rows: Vec<(&[f32], usize)> = products.iter().map(|p| (p.x, p.check())).collect();
        rows.dedup_by(|rows, before| same(*rows, *before));
        let packed = self.pack_all::<R>(pool, &rows);
        let mut packed_idx = 0;
        let mut n_tasks = 0;
        let mut jobs: Vec<Job<'_, '_, R>> = Vec::with_capacity(products.len());
        for product in products {
            let (n_rows, first_task) = (product.check(), n_tasks);
            packed_idx += usize::from(!same((product.x, n_rows), rows[packed_idx]));
            if n_rows > 0 {
                n_tasks += product.w.n_out.div_ceil(WIDE * TILES);
            }
            let (w, bias, out) = (product.w, product.bias, SharedOut::new(product.out));
            jobs.push(Job { packed: &packed[packed_idx], n_rows, w, bias, out, first_task });
        }
        pool.run(n_tasks, &|task| {
            let job = jobs.partition_point(|job| job.first_task <= task) - 1;
            let job = &jobs[job];
            SCRATCH.with_borrow_mut(|(slabs, totals)| {
                R::around(self, &mut || self.tiles(job, task - job.first_task, slabs, totals));
            });
        });
    }

    /// Packs rows: many at a time where there are many products, otherwise the groups of one at a time.
    fn pack_all<'x, R: Recipe>(
        &self,
        pool: &Pool,
        all: &[(&'x [f32], usize)],
    ) -> Vec<R::Packed<'x>> {
        if all.len() < 2 * pool.n_threads() {
            return all.iter().map(|&(x, n_rows)| R::pack(self, pool, x, n_rows)).collect();
        }
        let alone = Pool::new(1);
        let packed: Vec<OnceLock<R::Packed<'x>>> = all.iter().map(|_| OnceLock::new()).collect();
        pool.run(all.len(), &|at| {
            let (x, n_rows) = all[at];
            packed[at].get_or_init(|| R::pack(self, &alone, x, n_rows));
        });
        packed.into_iter().map(|packed| packed.into_inner().expect("all were packed")).collect()
    }

    /// The outputs of one task.
    fn tiles<R: Recipe>(
        &self,
        job: &Job<'_, '_, R>,
        task: usize,
        slabs: &mut Slabs,
        totals: &mut Vec<f32>,
    ) {
        let end = ((task + 1) * TILES * WIDE).min(job.w.n_out);
        for first in (task * TILES * WIDE..end).step_by(WIDE) {
            let n_tile = WIDE.min(end - first);
            totals.clear();
            totals.resize(job.n_rows.next_multiple_of(R::ROUND) * WIDE + LINE, 0.0);
            let start = totals.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
            let totals = &mut totals[start..];
            self.sum_tile(job, first, n_tile, slabs, totals);
            let unit = R::unit(&job.w);
            for (row, totals) in totals.chunks_exact(WIDE).take(job.n_rows).enumerate() {
                // SAFETY: row < n_rows and first + n_tile <= n_out, so the range is inside `out`; the
                // tasks' column ranges are disjoint, so no other thread touches it.
                let target = unsafe { job.out.range(row * job.w.n_out + first, n_tile) };
                for (cell, total) in target.iter_mut().zip(totals) {
                    *cell = total * unit;
                }
                if let Some(bias) = job.bias {
                    for (cell, bias) in target.iter_mut().zip(&bias[first..]) {
                        *cell += bias;
                    }
                }
            }
        }
    }

    fn sum_tile<R: Recipe>(
        &self,
        job: &Job<'_, '_, R>,
        first: usize,
        n_tile: usize,
        slabs: &mut Slabs,
        totals: &mut [f32],
    ) {
        let n_in = job.w.n_in;
        if let Cells::Mxfp4 { codes, scales } = job.w.cells
            && job.n_rows <= R::ROWS
        {
            let tile = Place { row: first, n_rows: n_tile, k: 0, n_k: n_in };
            let codes = Codes {
                codes: mxfp4::codes_at(&job.w, codes, tile),
                scales: mxfp4::scales_at(&job.w, scales, tile),
            };
            let rows = RowGroup { start: 0, n: job.n_rows, n_in };
            let totals = &mut totals[..job.n_rows * WIDE];
            if R::accumulate_codes(self, job.packed, rows, codes, totals) {
                return;
            }
        }
        for k in (0..n_in).step_by(R::DEEP) {
            let place = Place { row: first, n_rows: n_tile, k, n_k: R::DEEP.min(n_in - k) };
            let weights = R::fill(self, &job.w, place, ahead(&job.w, place), slabs);
            for rows in R::groups(job.n_rows, n_in) {
                let n_totals = rows.n.next_multiple_of(R::ROUND) * WIDE;
                let totals = &mut totals[rows.start * WIDE..][..n_totals];
                R::accumulate(self, job.packed, rows, place, &weights, totals);
            }
        }
    }

    /// Rows `first..` of `w` as floats, exactly; as many as `out` holds.
    ///
    /// # Panics
    /// When `w` has fewer rows.
    pub fn unpack_rows(&self, w: &Matrix<'_>, first: usize, out: &mut [f32]) {
        let (start, end) = (first * w.n_in, first * w.n_in + out.len());
        assert!(end <= w.n_out * w.n_in, "rows of the matrix");
        match w.cells {
            Cells::F32(bytes) => unpack_f32(&bytes[start * 4..end * 4], out),
            Cells::F16(bytes) => (self.unpack_f16)(&bytes[start * 2..end * 2], out),
            Cells::Bf16(bytes) => (self.unpack_bf16)(&bytes[start * 2..end * 2], out),
            Cells::Int8 { cells, scales } => {
                for (at, value) in out.iter_mut().enumerate() {
                    let (row, k) = (first + at / w.n_in, at % w.n_in);
                    *value = int8::unscaled(cells, w.n_in, row, k)
                        * int8::scale(scales, w.n_in, row, k / GROUP);
                }
            }
            Cells::Mxfp4 { codes, scales } => {
                for (at, value) in out.iter_mut().enumerate() {
                    *value = mxfp4::value(codes, scales, w.n_in, first + at / w.n_in, at % w.n_in);
                }
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

/// Whether these are the same rows of the same length.
fn same(a: (&[f32], usize), b: (&[f32], usize)) -> bool {
    std::ptr::eq(a.0, b.0) && a.1 == b.1
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

/// A share of the bytes behind a tile of plain floats, as large as the slab's share of the tile: they are asked for in the order
/// in which they lie in memory, while the tile is read in pieces of many rows.
fn ahead<'a>(w: &Matrix<'a>, place: Place) -> &'a [u8] {
    let (bytes, n_row) = match w.cells {
        Cells::F32(bytes) => (bytes, w.n_in * 4),
        Cells::F16(bytes) | Cells::Bf16(bytes) => (bytes, w.n_in * 2),
        // Tiles are asked for while they are read.
        Cells::Mxfp4 { .. } | Cells::Int8 { .. } => return &[],
    };
    let n_tile = n_row * WIDE;
    let start = place.row * n_row + n_tile;
    let (from, to) = (n_tile * place.k / w.n_in, n_tile * (place.k + place.n_k) / w.n_in);
    bytes.get(start + from..(start + to).min(bytes.len())).unwrap_or_default()
}
