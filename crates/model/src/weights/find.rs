//! Finds tensors by their names, and refuses those that do not fit.

use kernels::{GROUP, Kernels};

use super::{Dense, ExpertCells, Experts, Layer, Weights, matrix};
use crate::checkpoint::{Checkpoint, Dtype, Tensor};
use crate::config::{Config, ExpertFormat};
use crate::error::ModelError;

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
