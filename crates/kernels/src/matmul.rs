//! The one matrix product: unpack a few weight rows, then use them for all rows of `x`.

use crate::dispatch::Kernels;
use crate::matrix::{Cells, GROUP, GROUP_BYTES, Matrix};
use crate::pool::{Pool, SharedOut};

/// Weight rows a thread unpacks at once: at 2,880 inputs they fill 184 KB, inside most L2 caches.
const TILE: usize = 16;

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
        let n_rows = rows_of(x, w.n_in);
        assert_eq!(out.len(), n_rows * w.n_out, "out is [n_rows, n_out]");
        assert!(bias.is_none_or(|bias| bias.len() == w.n_out), "bias is [n_out]");
        if n_rows == 0 || w.n_out == 0 {
            return;
        }
        let shared = SharedOut::new(out);
        pool.run(w.n_out.div_ceil(TILE), &|task| {
            let first = task * TILE;
            let n_tile = TILE.min(w.n_out - first);
            let mut weights = vec![0.0; n_tile * w.n_in];
            self.unpack_rows(w, first, &mut weights);
            let mut product = vec![0.0; n_rows * n_tile];
            (self.tile)(x, &weights, w.n_in, &mut product);
            for (row, values) in product.chunks_exact(n_tile).enumerate() {
                // SAFETY: row < n_rows and first + n_tile <= n_out, so the range is inside `out`; the
                // tasks' column ranges are disjoint, so no other thread touches it.
                let target = unsafe { shared.range(row * w.n_out + first, n_tile) };
                match bias {
                    None => target.copy_from_slice(values),
                    Some(bias) => {
                        for (at, cell) in target.iter_mut().enumerate() {
                            *cell = values[at] + bias[first + at];
                        }
                    }
                }
            }
        });
    }

    /// Rows `first..` of `w` as floats, exactly; as many as `out` holds.
    ///
    /// # Panics
    /// When `w` has fewer rows.
    pub fn unpack_rows(&self, w: &Matrix<'_>, first: usize, out: &mut [f32]) {
        let (start, end) = (first * w.n_in, first * w.n_in + out.len());
        match w.cells {
            Cells::F32(bytes) => {
                let (cells, _) = bytes[start * 4..end * 4].as_chunks::<4>();
                for (cell, value) in cells.iter().zip(out) {
                    *value = f32::from_le_bytes(*cell);
                }
            }
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

fn rows_of(x: &[f32], n_in: usize) -> usize {
    if n_in == 0 {
        return 0;
    }
    assert_eq!(x.len() % n_in, 0, "x is [n_rows, n_in]");
    x.len() / n_in
}
