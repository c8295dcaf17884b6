//! What this machine could do at best: work with nothing around it, for the caller to time.

use std::hint::black_box;

use crate::arithmetic::Arithmetic;
use crate::dispatch::Kernels;
use crate::pool::Pool;

/// Work to be timed.
#[derive(Clone, Copy)]
pub(crate) struct Burn {
    /// So many rounds of it.
    pub(crate) work: fn(usize) -> f32,
    /// Operations of a round.
    pub(crate) flops: usize,
}

/// Bytes that a thread reads at once.
const PIECE: usize = 1 << 20;

impl Kernels {
    /// Multiplies and adds in registers on all threads, as products in `arithmetic` do; returns the operations done,
    /// a multiplication and an addition counted as two. `n_rounds` of some nanoseconds each.
    pub fn burn(&self, pool: &Pool, arithmetic: Arithmetic, n_rounds: usize) -> f64 {
        let n_tasks = pool.n_threads() * 8;
        let Burn { work, flops } = match arithmetic {
            Arithmetic::Exact => self.burn,
            Arithmetic::Int8 => self.burn_int8,
            Arithmetic::Bf16 => self.burn_bf16,
        };
        pool.run(n_tasks, &|_| {
            black_box(work(n_rounds));
        });
        (n_tasks * n_rounds * flops) as f64
    }

    /// Reads all of `bytes` on all threads and does nothing with it; returns the bytes read.
    pub fn scan(&self, pool: &Pool, bytes: &[u8]) -> f64 {
        pool.run(bytes.len() / PIECE, &|at| {
            black_box((self.scan)(&bytes[at * PIECE..][..PIECE]));
        });
        (bytes.len() / PIECE * PIECE) as f64
    }
}
