//! The network's tensors by their places in it, with shapes and formats checked against the configuration.

mod find;
mod prepare;

use kernels::Matrix;

use crate::checkpoint::{Checkpoint, Dtype, Tensor};
use crate::prepared::Prepared;

/// All weights. Dense matrices stay as they are stored, packed experts are prepared; the few small vectors are kept as
/// floats.
#[derive(Debug)]
pub struct Weights {
    checkpoint: Checkpoint,
    /// Packed experts in tiles, in the order of layers, of `gate_up` and `down`, of experts.
    tiles: Option<Prepared>,
    /// The head as 8-bit integers, then `q`, `k`, `v` and `o` of every layer; where they take the place of stored ones.
    int8: Option<Prepared>,
    /// `[vocab, hidden]`
    pub embed: Dense,
    /// Layers, first to last.
    pub layers: Vec<Layer>,
    /// The norm before the head, `[hidden]`.
    pub norm: Vec<f32>,
    /// `[vocab, hidden]`
    pub head: Dense,
}

/// One layer.
#[derive(Debug)]
pub struct Layer {
    /// Before attention, `[hidden]`.
    pub attn_norm: Vec<f32>,
    /// `[heads * head_dim, hidden]`
    pub q: Dense,
    /// `[kv_heads * head_dim, hidden]`
    pub k: Dense,
    /// As `k`.
    pub v: Dense,
    /// `[hidden, heads * head_dim]`
    pub o: Dense,
    /// A logit for each query head.
    pub sinks: Vec<f32>,
    /// Before the experts, `[hidden]`.
    pub mlp_norm: Vec<f32>,
    /// `[experts, hidden]`
    pub router: Dense,
    /// `[2 * intermediate, hidden]` for each expert, gate and up in turns.
    pub gate_up: Experts,
    /// `[hidden, intermediate]` for each expert.
    pub down: Experts,
}

/// A matrix in 16- or 32-bit floats, with its bias where it has one.
#[derive(Debug)]
pub struct Dense {
    tensor: Tensor,
    n_out: usize,
    n_in: usize,
    /// Its place among the matrices that can be 8-bit integers.
    int8_idx: Option<usize>,
    /// `[n_out]`
    pub bias: Option<Vec<f32>>,
}

/// The matrices of a layer's experts, with their biases.
#[derive(Debug)]
pub struct Experts {
    cells: ExpertCells,
    n_out: usize,
    n_in: usize,
    /// `[experts, n_out]`
    bias: Vec<f32>,
}

#[derive(Debug)]
enum ExpertCells {
    Mxfp4 {
        /// `[experts, n_out, n_in / 32, 16]`
        blocks: Tensor,
        /// `[experts, n_out, n_in / 32]`
        scales: Tensor,
        /// The name of `scales`.
        scales_name: String,
        /// The place of the first expert among all that are in tiles.
        first_tiled: usize,
    },
    Plain {
        dtype: Dtype,
        /// `[experts, n_out, n_in]`; turned over at load, see `find.rs`.
        bytes: Vec<u8>,
    },
}

impl Experts {
    fn n_experts(&self) -> usize {
        self.bias.len() / self.n_out
    }

    fn is_packed(&self) -> bool {
        matches!(self.cells, ExpertCells::Mxfp4 { .. })
    }

    /// Outputs of each expert.
    pub fn n_out(&self) -> usize {
        self.n_out
    }

    /// The bias of one expert.
    pub fn bias(&self, expert: usize) -> &[f32] {
        &self.bias[expert * self.n_out..][..self.n_out]
    }
}

impl Weights {
    /// A dense matrix, ready for a product.
    pub fn dense<'a>(&'a self, dense: &'a Dense) -> Matrix<'a> {
        match (&self.int8, dense.int8_idx) {
            (Some(int8), Some(idx)) => {
                Matrix::int8(int8.piece(idx), dense.n_out, dense.n_in).expect(CHECKED)
            }
            _ => self.stored(dense),
        }
    }

    fn stored(&self, dense: &Dense) -> Matrix<'_> {
        let bytes = self.checkpoint.bytes(&dense.tensor);
        matrix(dense.tensor.dtype, bytes, dense.n_out, dense.n_in)
    }

    /// One expert's matrix, ready for a product.
    pub fn expert<'a>(&'a self, experts: &'a Experts, expert: usize) -> Matrix<'a> {
        let Experts { n_out, n_in, .. } = *experts;
        match &experts.cells {
            ExpertCells::Mxfp4 { first_tiled, .. } => {
                let tiles = self.tiles.as_ref().expect("a model that is open has its tiles");
                Matrix::mxfp4(tiles.piece(first_tiled + expert), n_out, n_in).expect(CHECKED)
            }
            ExpertCells::Plain { dtype, bytes } => {
                let bytes = part(bytes, expert, n_out * n_in * dtype.n_bytes());
                matrix(*dtype, bytes, n_out, n_in)
            }
        }
    }

    /// The files behind the weights.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

const CHECKED: &str = "shape and format were checked when the weights were found";

/// Bytes of plain floats as a matrix.
fn matrix(dtype: Dtype, bytes: &[u8], n_out: usize, n_in: usize) -> Matrix<'_> {
    let matrix = match dtype {
        Dtype::F32 => Matrix::f32(bytes, n_out, n_in),
        Dtype::F16 => Matrix::f16(bytes, n_out, n_in),
        _ => Matrix::bf16(bytes, n_out, n_in),
    };
    matrix.expect(CHECKED)
}

/// Part `idx` of those that are `len` long.
fn part(bytes: &[u8], idx: usize, len: usize) -> &[u8] {
    &bytes[idx * len..][..len]
}
