//! The network's tensors by their places in it, with shapes and formats checked against the configuration.

use kernels::{GROUP, Kernels, Matrix, NAN_SCALE, StoredMxfp4};

use crate::checkpoint::{Checkpoint, Dtype, Tensor};
use crate::config::{Config, ExpertFormat};
use crate::error::ModelError;
use crate::prepared::{Plan, Preparation, Prepared};

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
        /// `[experts, n_out, n_in]`; turned over at load, see [`turned`].
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

    /// The place of the first expert among all that are in tiles.
    fn first_tiled(&self) -> usize {
        match self.cells {
            ExpertCells::Mxfp4 { first_tiled, .. } => first_tiled,
            ExpertCells::Plain { .. } => 0,
        }
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
    /// Finds every tensor of the network.
    ///
    /// # Errors
    /// [`ModelError`] for the first that is missing or does not fit.
    pub fn new(checkpoint: Checkpoint, config: &Config) -> Result<Weights, ModelError> {
        let finder = Finder { checkpoint: &checkpoint, config };
        let (vocab, hidden) = (config.vocab_size, config.hidden_size);
        let embed = finder.dense("model.embed_tokens", vocab, hidden, false)?;
        let mut layers = (0..config.num_hidden_layers)
            .map(|layer| finder.layer(layer))
            .collect::<Result<Vec<_>, _>>()?;
        let norm = finder.floats("model.norm.weight", &[hidden])?;
        let mut head = finder.dense("lm_head", vocab, hidden, false)?;
        let attention = layers
            .iter_mut()
            .flat_map(|layer| [&mut layer.q, &mut layer.k, &mut layer.v, &mut layer.o]);
        for (idx, dense) in std::iter::once(&mut head).chain(attention).enumerate() {
            dense.int8_idx = Some(idx);
        }
        Ok(Weights { embed, layers, norm, head, checkpoint, tiles: None, int8: None })
    }

    /// Puts packed experts into the tiles that products want. `source` names the weights.
    ///
    /// # Errors
    /// [`ModelError::NanScale`]; [`ModelError::Read`] when the system does not give the memory.
    pub(crate) fn tile_experts(
        &mut self,
        source: &str,
        preparation: &Preparation<'_>,
    ) -> Result<(), ModelError> {
        let all: Vec<&Experts> = self.experts().filter(|experts| experts.is_packed()).collect();
        let lengths = all.iter().flat_map(|experts| {
            let n_bytes = Matrix::mxfp4_len(experts.n_out, experts.n_in).expect(CHECKED);
            std::iter::repeat_n(n_bytes, experts.n_experts())
        });
        let plan = Plan {
            name: "experts",
            source,
            lengths: lengths.collect(),
            make: &mut |idx, out| {
                let at = all.partition_point(|experts| experts.first_tiled() <= idx) - 1;
                self.tile_expert(all[at], idx - all[at].first_tiled(), preparation, out)
            },
        };
        self.tiles = Some(Prepared::new(plan, preparation)?);
        Ok(())
    }

    /// All experts in the order in which they are tiled.
    fn experts(&self) -> impl Iterator<Item = &Experts> {
        self.layers.iter().flat_map(|layer| [&layer.gate_up, &layer.down])
    }

    fn tile_expert(
        &self,
        experts: &Experts,
        expert: usize,
        preparation: &Preparation<'_>,
        out: &mut [u8],
    ) -> Result<(), ModelError> {
        let ExpertCells::Mxfp4 { blocks, scales, scales_name, .. } = &experts.cells else {
            unreachable!("only packed experts are tiled")
        };
        if expert == 0 {
            check_scales(&self.checkpoint, scales_name, scales)?;
        }
        let stored = self.stored_expert(experts, expert, blocks, scales);
        Kernels::detect().tile_mxfp4(preparation.pool, stored, out);
        if expert + 1 == experts.n_experts() {
            self.checkpoint.forget(blocks);
            self.checkpoint.forget(scales);
        }
        Ok(())
    }

    fn stored_expert<'a>(
        &'a self,
        experts: &Experts,
        expert: usize,
        blocks: &Tensor,
        scales: &Tensor,
    ) -> StoredMxfp4<'a> {
        let n_groups = experts.n_out * experts.n_in / GROUP;
        let blocks = part(self.checkpoint.bytes(blocks), expert, n_groups * GROUP / 2);
        let scales = part(self.checkpoint.bytes(scales), expert, n_groups);
        StoredMxfp4::new(blocks, scales, experts.n_out, experts.n_in).expect(CHECKED)
    }

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

    /// Turns the matrices of attention and the head into 8-bit integers. The embedding and the routers stay: single rows
    /// are read of the one, and the others are small and decide a lot. `source` names the weights.
    ///
    /// # Errors
    /// [`ModelError::Int8`] when a matrix has inputs that do not come in groups of 32; [`ModelError::Read`] when the
    /// system does not give the memory.
    pub(crate) fn make_dense_int8(
        &mut self,
        source: &str,
        preparation: &Preparation<'_>,
    ) -> Result<(), ModelError> {
        let attention =
            self.layers.iter().flat_map(|layer| [&layer.q, &layer.k, &layer.v, &layer.o]);
        let all: Vec<&Dense> = std::iter::once(&self.head).chain(attention).collect();
        if let Some(dense) = all.iter().find(|dense| !dense.n_in.is_multiple_of(GROUP)) {
            return Err(ModelError::Int8 { n_in: dense.n_in });
        }
        let n_bytes = |dense: &&Dense| Matrix::int8_len(dense.n_out, dense.n_in).expect(CHECKED);
        let plan = Plan {
            name: "dense-int8",
            source,
            lengths: all.iter().map(n_bytes).collect(),
            make: &mut |idx, out| {
                Kernels::detect().to_int8(preparation.pool, &self.stored(all[idx]), out);
                self.checkpoint.forget(&all[idx].tensor);
                Ok(())
            },
        };
        self.int8 = Some(Prepared::new(plan, preparation)?);
        Ok(())
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
            gate_up: self.experts(&at("mlp.experts.gate_up_proj"), 2 * inner, hidden, 2 * layer)?,
            down: self.experts(&at("mlp.experts.down_proj"), hidden, inner, 2 * layer + 1)?,
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
        Ok(Dense { tensor: tensor.clone(), n_out, n_in, int8_idx: None, bias })
    }

    /// `idx` counts the matrices of experts of all layers.
    fn experts(
        &self,
        name: &str,
        n_out: usize,
        n_in: usize,
        idx: usize,
    ) -> Result<Experts, ModelError> {
        let n_experts = self.config.num_local_experts;
        let cells = match self.config.experts {
            ExpertFormat::Mxfp4 => {
                let n_groups = n_in / GROUP;
                let blocks = format!("{name}_blocks");
                let blocks = self.packed(&blocks, &[n_experts, n_out, n_groups, GROUP / 2])?;
                let scales_name = format!("{name}_scales");
                let scales = self.packed(&scales_name, &[n_experts, n_out, n_groups])?;
                let (blocks, scales) = (blocks.clone(), scales.clone());
                let first_tiled = idx * n_experts;
                ExpertCells::Mxfp4 { blocks, scales, scales_name, first_tiled }
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

/// Refuses scales that are no numbers.
fn check_scales(checkpoint: &Checkpoint, name: &str, scales: &Tensor) -> Result<(), ModelError> {
    let bytes = checkpoint.bytes(scales);
    // The maximum of a chunk is found many bytes at a time; only a bad chunk is searched.
    let worst = |chunk: &[u8]| chunk.iter().fold(0, |worst, &byte| worst.max(byte));
    let bad = bytes.chunks(4096).position(|chunk| worst(chunk) == NAN_SCALE);
    let Some(chunk) = bad else { return Ok(()) };
    let within = bytes[chunk * 4096..].iter().position(|&byte| byte == NAN_SCALE).unwrap_or(0);
    Err(ModelError::NanScale {
        path: checkpoint.path(scales).to_owned(),
        tensor: name.to_owned(),
        position: chunk * 4096 + within,
    })
}

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
