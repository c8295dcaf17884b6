//! One output shared by threads, each part of it written by one task.

use std::sync::{Mutex, PoisonError};

use kernels::Pool;

/// Calls `task` once with each part of `out`, `len` long, and its index; on any thread.
pub(crate) fn for_chunks(
    pool: &Pool,
    out: &mut [f32],
    len: usize,
    task: &(dyn Fn(usize, &mut [f32]) + Sync),
) {
    // Each lock is taken once and by one task; it is there to say so to the compiler.
    let chunks: Vec<Mutex<&mut [f32]>> = out.chunks_exact_mut(len).map(Mutex::new).collect();
    pool.run(chunks.len(), &|at| {
        task(at, &mut chunks[at].lock().unwrap_or_else(PoisonError::into_inner));
    });
}
