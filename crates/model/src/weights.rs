//! The network's tensors by their places in it, with shapes and formats checked against the configuration.

use kernels::{GROUP, Kernels, Matrix, NAN_SCALE, Pool};

use crate::checkpoint::{Checkpoint, Dtype, Tensor};
use crate::config::{Config, ExpertFormat};
use crate::error::ModelError;

/// All weights. Matrices stay as they are stored; the few small vectors are kept as floats.
#[derive(Debug)]
pub struct Weights {
    checkpoint: Checkpoint,
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
    /// The cells as 8-bit integers, where these are to be used in place of the stored ones.
    int8: Option<Vec<u8>>,
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
    },
    Plain {
        dtype: Dtype,
        /// `[experts, n_out, n_in]`; turned over at load, see [`turned`].
        bytes: Vec<u8>,
    },
}

impl Experts {
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
    /// Finds every tensor of the network.
    ///
    /// # Errors
    /// [`ModelError`] for the first that is missing or does not fit.
    pub fn new(checkpoint: Checkpoint, config: &Config) -> Result<Weights, ModelError> {
        let finder = Finder { checkpoint: &checkpoint, config };
        let (vocab, hidden) = (config.vocab_size, config.hidden_size);
        let embed = finder.dense("model.embed_tokens", vocab, hidden, false)?;
        let layers = (0..config.num_hidden_layers)
            .map(|layer| finder.layer(layer))
            .collect::<Result<_, _>>()?;
        let norm = finder.floats("model.norm.weight", &[hidden])?;
        let head = finder.dense("lm_head", vocab, hidden, false)?;
        Ok(Weights { embed, layers, norm, head, checkpoint })
    }

    /// A dense matrix, ready for a product.
    pub fn dense<'a>(&'a self, dense: &'a Dense) -> Matrix<'a> {
        match &dense.int8 {
            Some(bytes) => Matrix::int8(bytes, dense.n_out, dense.n_in).expect(CHECKED),
            None => self.stored(dense),
        }
    }

    fn stored(&self, dense: &Dense) -> Matrix<'_> {
        let bytes = self.checkpoint.bytes(&dense.tensor);
        matrix(dense.tensor.dtype, bytes, dense.n_out, dense.n_in)
    }

    /// Turns the matrices of attention and the head into 8-bit integers, in memory of their own. The embedding and the
    /// routers stay: single rows are read of the one, and the others are small and decide a lot.
    ///
    /// # Errors
    /// [`ModelError::Int8`] when a matrix has inputs that do not come in groups of 32.
    pub(crate) fn make_dense_int8(&mut self, pool: &Pool) -> Result<(), ModelError> {
        let kernels = Kernels::detect();
        let make = |dense: &Dense| {
            if !dense.n_in.is_multiple_of(GROUP) {
                return Err(ModelError::Int8 { n_in: dense.n_in });
            }
            Ok(Some(kernels.to_int8(pool, &self.stored(dense))))
        };
        let head = make(&self.head)?;
        let mut layers = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            layers.push([make(&layer.q)?, make(&layer.k)?, make(&layer.v)?, make(&layer.o)?]);
        }
        self.head.int8 = head;
        for (layer, [q, k, v, o]) in self.layers.iter_mut().zip(layers) {
            (layer.q.int8, layer.k.int8, layer.v.int8, layer.o.int8) = (q, k, v, o);
        }
        Ok(())
    }

    /// One expert's matrix, ready for a product.
    pub fn expert<'a>(&'a self, experts: &'a Experts, expert: usize) -> Matrix<'a> {
        let Experts { n_out, n_in, .. } = *experts;
        match &experts.cells {
            ExpertCells::Mxfp4 { blocks, scales } => {
                let n_groups = n_out * n_in / GROUP;
                let blocks = part(self.checkpoint.bytes(blocks), expert, n_groups * GROUP / 2);
                let scales = part(self.checkpoint.bytes(scales), expert, n_groups);
                Matrix::mxfp4(blocks, scales, n_out, n_in).expect(CHECKED)
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

struct Finder<'a> {
    checkpoint: &'a Checkpoint,
    config: &'a Config,
}

impl Finder<'_> {
    fn layer(&self, layer: usize) -> Result<Layer, ModelError> {
        let c = self.config;
        let (hidden, inner) = (c.hidden_size, c.intermediate_size);
        let (q_width, kv_width) = (c.num_attention_heads * c.head_dim, c.kv_width());
        let at = |name: &str| format!("model.layers.{layer}.{name}");
        Ok(Layer {
            attn_norm: self.floats(&at("input_layernorm.weight"), &[hidden])?,
            q: self.dense(&at("self_attn.q_proj"), q_width, hidden, true)?,
            k: self.dense(&at("self_attn.k_proj"), kv_width, hidden, true)?,
            v: self.dense(&at("self_attn.v_proj"), kv_width, hidden, true)?,
            o: self.dense(&at("self_attn.o_proj"), hidden, q_width, true)?,
            sinks: self.floats(&at("self_attn.sinks"), &[c.num_attention_heads])?,
            mlp_norm: self.floats(&at("post_attention_layernorm.weight"), &[hidden])?,
            router: self.dense(&at("mlp.router"), c.num_local_experts, hidden, true)?,
            gate_up: self.experts(&at("mlp.experts.gate_up_proj"), 2 * inner, hidden)?,
            down: self.experts(&at("mlp.experts.down_proj"), hidden, inner)?,
        })
    }

    fn dense(
        &self,
        name: &str,
        n_out: usize,
        n_in: usize,
        has_bias: bool,
    ) -> Result<Dense, ModelError> {
        let weight = format!("{name}.weight");
        let tensor = self.shaped(&weight, &[n_out, n_in])?;
        self.check_float(&weight, tensor)?;
        let bias = has_bias.then(|| self.floats(&format!("{name}.bias"), &[n_out])).transpose()?;
        Ok(Dense { tensor: tensor.clone(), n_out, n_in, int8: None, bias })
    }

    fn experts(&self, name: &str, n_out: usize, n_in: usize) -> Result<Experts, ModelError> {
        let n_experts = self.config.num_local_experts;
        let cells = match self.config.experts {
            ExpertFormat::Mxfp4 => {
                let n_groups = n_in / GROUP;
                let blocks = format!("{name}_blocks");
                let blocks = self.packed(&blocks, &[n_experts, n_out, n_groups, GROUP / 2])?;
                let scales_name = format!("{name}_scales");
                let scales = self.packed(&scales_name, &[n_experts, n_out, n_groups])?;
                self.check_scales(&scales_name, scales)?;
                ExpertCells::Mxfp4 { blocks: blocks.clone(), scales: scales.clone() }
            }
            ExpertFormat::Plain => {
                let tensor = self.shaped(name, &[n_experts, n_in, n_out])?;
                self.check_float(name, tensor)?;
                let bytes = turned(self.checkpoint.bytes(tensor), n_out, n_in, tensor.dtype);
                ExpertCells::Plain { dtype: tensor.dtype, bytes }
            }
        };
        let bias = self.floats(&format!("{name}_bias"), &[n_experts, n_out])?;
        Ok(Experts { cells, n_out, n_in, bias })
    }

    fn packed(&self, name: &str, shape: &[usize]) -> Result<&Tensor, ModelError> {
        let tensor = self.shaped(name, shape)?;
        if tensor.dtype != Dtype::U8 {
            return Err(self.wrong_dtype(name, tensor, "U8"));
        }
        Ok(tensor)
    }

    fn check_scales(&self, name: &str, scales: &Tensor) -> Result<(), ModelError> {
        let bytes = self.checkpoint.bytes(scales);
        // The maximum of a chunk is found many bytes at a time; only a bad chunk is searched.
        let bad = bytes.chunks(4096).position(|chunk| chunk.iter().max() == Some(&NAN_SCALE));
        let Some(chunk) = bad else { return Ok(()) };
        let within = bytes[chunk * 4096..].iter().position(|&byte| byte == NAN_SCALE).unwrap_or(0);
        Err(ModelError::NanScale {
            path: self.checkpoint.path(scales).to_owned(),
            tensor: name.to_owned(),
            position: chunk * 4096 + within,
        })
    }

    fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let tensor = self.shaped(name, shape)?;
        self.check_float(name, tensor)?;
        let bytes = self.checkpoint.bytes(tensor);
        let n_cells = bytes.len() / tensor.dtype.n_bytes();
        let mut out = vec![0.0; n_cells];
        let row = matrix(tensor.dtype, bytes, 1, n_cells);
        Kernels::detect().unpack_rows(&row, 0, &mut out);
        Ok(out)
    }

    fn shaped(&self, name: &str, shape: &[usize]) -> Result<&Tensor, ModelError> {
        let tensor = self.checkpoint.tensor(name)?;
        if tensor.shape != shape {
            return Err(ModelError::Shape {
                path: self.checkpoint.path(tensor).to_owned(),
                tensor: name.to_owned(),
                expected: shape.to_vec(),
                found: tensor.shape.clone(),
            });
        }
        Ok(tensor)
    }

    fn check_float(&self, name: &str, tensor: &Tensor) -> Result<(), ModelError> {
        match tensor.dtype {
            Dtype::F32 | Dtype::F16 | Dtype::Bf16 => Ok(()),
            _ => Err(self.wrong_dtype(name, tensor, "BF16, F16 or F32")),
        }
    }

    fn wrong_dtype(&self, name: &str, tensor: &Tensor, expected: &'static str) -> ModelError {
        ModelError::Dtype {
            path: self.checkpoint.path(tensor).to_owned(),
            tensor: name.to_owned(),
            expected,
            found: tensor.dtype.to_string(),
        }
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

/// Matrices `[n_in, n_out]` as `[n_out, n_in]`, the way all others are stored. Only checkpoints that
/// were never quantised need this copy; it is as large as the part of the file that it takes the
/// place of.
fn turned(bytes: &[u8], n_out: usize, n_in: usize, dtype: Dtype) -> Vec<u8> {
    let n_cell = dtype.n_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    for matrix in bytes.chunks_exact(n_out * n_in * n_cell) {
        for column in 0..n_out {
            for row in matrix.chunks_exact(n_out * n_cell) {
                out.extend_from_slice(&row[column * n_cell..][..n_cell]);
            }
        }
    }
    out
}
