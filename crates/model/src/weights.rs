//! The tensors of a gpt-oss network, by name, with the shapes that `config.json` makes them have.
//!
//! Matrices stay packed in the mapped file. Vectors (norms, biases, sinks) are a thousandth of it and
//! are unpacked to `f32` at load.

use kernels::{GROUP, Isa, Kernels, Matrix, NAN_SCALE};

use crate::checkpoint::{Bytes, Checkpoint, Tensor};
use crate::config::{Config, ExpertFormat};
use crate::error::ModelError;

const FLOATS: &str = "BF16, F16 or F32";

/// All weights of a network.
#[derive(Debug)]
pub(crate) struct Weights {
    /// `[vocab_size, hidden_size]`, a row a token.
    pub(crate) embedding: Weight,
    pub(crate) layers: Vec<Layer>,
    /// `[hidden_size]`
    pub(crate) final_norm: Vec<f32>,
    /// `[vocab_size, hidden_size]`
    pub(crate) head: Weight,
}

/// The weights of one layer.
#[derive(Debug)]
pub(crate) struct Layer {
    /// `[hidden_size]`
    pub(crate) attn_norm: Vec<f32>,
    /// `[n_heads * head_dim, hidden_size]`
    pub(crate) q: Linear,
    /// `[n_kv_heads * head_dim, hidden_size]`
    pub(crate) k: Linear,
    /// As `k`.
    pub(crate) v: Linear,
    /// `[hidden_size, n_heads * head_dim]`
    pub(crate) o: Linear,
    /// `[n_heads]`
    pub(crate) sinks: Vec<f32>,
    /// `[hidden_size]`
    pub(crate) mlp_norm: Vec<f32>,
    /// `[n_experts, hidden_size]`
    pub(crate) router: Linear,
    /// An expert: `[2 * intermediate_size, hidden_size]`, gate and up rows in turns.
    pub(crate) gate_up: Experts,
    /// An expert: `[hidden_size, intermediate_size]`
    pub(crate) down: Experts,
}

/// A matrix with a bias `[n_out]`.
#[derive(Debug)]
pub(crate) struct Linear {
    pub(crate) weight: Weight,
    pub(crate) bias: Vec<f32>,
}

/// One matrix, or one for each expert, in the file's number format.
#[derive(Debug)]
pub(crate) struct Weight {
    cells: Cells,
    n_out: usize,
    n_in: usize,
}

/// The matrices of a layer's experts, one after the other, and their biases.
#[derive(Debug)]
pub(crate) struct Experts {
    weight: Weight,
    /// `[n_experts, n_out]`
    biases: Vec<f32>,
}

#[derive(Debug)]
enum Cells {
    Plain { float: Float, bytes: Bytes },
    Mxfp4 { blocks: Bytes, scales: Bytes },
}

#[derive(Clone, Copy, Debug)]
enum Float {
    F32,
    F16,
    Bf16,
}

impl Weight {
    /// The matrix itself.
    pub(crate) fn matrix(&self) -> Matrix<'_> {
        self.matrix_at(0)
    }

    /// The matrix at `idx` of those that lie one after the other.
    fn matrix_at(&self, idx: usize) -> Matrix<'_> {
        let (n_out, n_in) = (self.n_out, self.n_in);
        let n = n_out * n_in;
        let part = |bytes: &'_ Bytes, len: usize| {
            let start = bytes.range.start + idx * len;
            start..start + len
        };
        let matrix = match &self.cells {
            Cells::Mxfp4 { blocks, scales } => Matrix::mxfp4(
                &blocks.file[part(blocks, n / 2)],
                &scales.file[part(scales, n / GROUP)],
                n_out,
                n_in,
            ),
            Cells::Plain { float: Float::F32, bytes } => {
                Matrix::f32(&bytes.file[part(bytes, n * 4)], n_out, n_in)
            }
            Cells::Plain { float: Float::F16, bytes } => {
                Matrix::f16(&bytes.file[part(bytes, n * 2)], n_out, n_in)
            }
            Cells::Plain { float: Float::Bf16, bytes } => {
                Matrix::bf16(&bytes.file[part(bytes, n * 2)], n_out, n_in)
            }
        };
        matrix.expect("the shape was held against the bytes when the weight was loaded")
    }
}

impl Experts {
    /// One expert's matrix and bias.
    pub(crate) fn expert(&self, expert_idx: usize) -> (Matrix<'_>, &[f32]) {
        let n_out = self.weight.n_out;
        let bias = &self.biases[expert_idx * n_out..(expert_idx + 1) * n_out];
        (self.weight.matrix_at(expert_idx), bias)
    }
}

impl Weights {
    /// Finds and checks every tensor.
    pub(crate) fn load(checkpoint: &Checkpoint, config: &Config) -> Result<Weights, ModelError> {
        let loader = Loader { checkpoint, config };
        let (hidden, vocab) = (config.hidden_size, config.vocab_size);
        Ok(Weights {
            embedding: loader.weight("model.embed_tokens.weight", vocab, hidden)?,
            layers: (0..config.n_layers()).map(|n| loader.layer(n)).collect::<Result<_, _>>()?,
            final_norm: loader.vector("model.norm.weight", &[hidden])?,
            head: loader.weight("lm_head.weight", vocab, hidden)?,
        })
    }
}

/// Finds tensors by name and holds them against the shapes that are expected.
struct Loader<'a> {
    checkpoint: &'a Checkpoint,
    config: &'a Config,
}

impl Loader<'_> {
    fn layer(&self, layer_idx: usize) -> Result<Layer, ModelError> {
        let config = self.config;
        let (hidden, inter) = (config.hidden_size, config.intermediate_size);
        let (q_width, kv_width) = (config.q_width(), config.kv_width());
        let name = |tail: &str| format!("model.layers.{layer_idx}.{tail}");
        Ok(Layer {
            attn_norm: self.vector(&name("input_layernorm.weight"), &[hidden])?,
            q: self.linear(&name("self_attn.q_proj"), q_width, hidden)?,
            k: self.linear(&name("self_attn.k_proj"), kv_width, hidden)?,
            v: self.linear(&name("self_attn.v_proj"), kv_width, hidden)?,
            o: self.linear(&name("self_attn.o_proj"), hidden, q_width)?,
            sinks: self.vector(&name("self_attn.sinks"), &[config.n_heads])?,
            mlp_norm: self.vector(&name("post_attention_layernorm.weight"), &[hidden])?,
            router: self.linear(&name("mlp.router"), config.n_experts, hidden)?,
            gate_up: self.experts(&name("mlp.experts.gate_up_proj"), 2 * inter, hidden)?,
            down: self.experts(&name("mlp.experts.down_proj"), hidden, inter)?,
        })
    }

    fn linear(&self, stem: &str, n_out: usize, n_in: usize) -> Result<Linear, ModelError> {
        Ok(Linear {
            weight: self.weight(&format!("{stem}.weight"), n_out, n_in)?,
            bias: self.vector(&format!("{stem}.bias"), &[n_out])?,
        })
    }

    fn weight(&self, name: &str, n_out: usize, n_in: usize) -> Result<Weight, ModelError> {
        let tensor = self.tensor(name, &[n_out, n_in])?;
        let cells = Cells::Plain { float: float_of(tensor)?, bytes: tensor.bytes.clone() };
        Ok(Weight { cells, n_out, n_in })
    }

    /// Unpacks a tensor of that shape to `f32`.
    fn vector(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let tensor = self.tensor(name, shape)?;
        let n_in = shape.iter().product();
        let cells = Cells::Plain { float: float_of(tensor)?, bytes: tensor.bytes.clone() };
        let mut values = vec![0.0; n_in];
        let kernels = Kernels::with_isa(Isa::Scalar).expect("every CPU runs plain code");
        kernels.unpack_rows(&Weight { cells, n_out: 1, n_in }.matrix(), 0, &mut values);
        Ok(values)
    }

    fn experts(&self, stem: &str, n_out: usize, n_in: usize) -> Result<Experts, ModelError> {
        let n_experts = self.config.n_experts;
        let cells = match self.config.experts {
            ExpertFormat::Mxfp4 => self.packed(stem, n_out, n_in)?,
            ExpertFormat::Plain => {
                let tensor = self.tensor(stem, &[n_experts, n_in, n_out])?;
                let float = float_of(tensor)?;
                Cells::Plain { float, bytes: transposed(tensor, float, n_out, n_in) }
            }
        };
        Ok(Experts {
            weight: Weight { cells, n_out, n_in },
            biases: self.vector(&format!("{stem}_bias"), &[n_experts, n_out])?,
        })
    }

    fn packed(&self, stem: &str, n_out: usize, n_in: usize) -> Result<Cells, ModelError> {
        let (n_experts, n_groups) = (self.config.n_experts, n_in / GROUP);
        let name = format!("{stem}_blocks");
        let blocks = self.checkpoint.tensor(&name)?;
        if !n_in.is_multiple_of(GROUP) {
            let path = blocks.path.to_path_buf();
            return Err(ModelError::Group { path, tensor: name, n_in });
        }
        let blocks = self.tensor(&name, &[n_experts, n_out, n_groups, GROUP / 2])?;
        check_bytes(blocks)?;
        let scales = self.tensor(&format!("{stem}_scales"), &[n_experts, n_out, n_groups])?;
        check_bytes(scales)?;
        let mut bytes = scales.bytes.as_slice().iter();
        if let Some(at) = bytes.position(|&scale| scale == NAN_SCALE) {
            let (path, tensor) = (scales.path.to_path_buf(), scales.name.clone());
            return Err(ModelError::NanScale { path, tensor, at });
        }
        Ok(Cells::Mxfp4 { blocks: blocks.bytes.clone(), scales: scales.bytes.clone() })
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<&Tensor, ModelError> {
        let tensor = self.checkpoint.tensor(name)?;
        if tensor.shape != shape {
            return Err(ModelError::Shape {
                path: tensor.path.to_path_buf(),
                tensor: name.to_owned(),
                expected: shape.to_vec(),
                found: tensor.shape.clone(),
            });
        }
        Ok(tensor)
    }
}

fn float_of(tensor: &Tensor) -> Result<Float, ModelError> {
    match tensor.dtype.as_str() {
        "F32" => Ok(Float::F32),
        "F16" => Ok(Float::F16),
        "BF16" => Ok(Float::Bf16),
        _ => Err(wrong_dtype(tensor, FLOATS)),
    }
}

fn check_bytes(tensor: &Tensor) -> Result<(), ModelError> {
    if tensor.dtype == "U8" { Ok(()) } else { Err(wrong_dtype(tensor, "U8")) }
}

fn wrong_dtype(tensor: &Tensor, expected: &'static str) -> ModelError {
    ModelError::Dtype {
        path: tensor.path.to_path_buf(),
        tensor: tensor.name.clone(),
        expected,
        found: tensor.dtype.clone(),
    }
}

/// The matrices `[n_in, n_out]` of a tensor as `[n_out, n_in]`, in the same number format. Only
/// unquantised checkpoints need this copy; the published ones store rows as they are multiplied.
fn transposed(tensor: &Tensor, float: Float, n_out: usize, n_in: usize) -> Bytes {
    let cell = match float {
        Float::F32 => 4,
        Float::F16 | Float::Bf16 => 2,
    };
    let stored = tensor.bytes.as_slice();
    let mut bytes = Vec::with_capacity(stored.len());
    for matrix in stored.chunks_exact(n_out * n_in * cell) {
        for out in 0..n_out {
            for row in matrix.chunks_exact(n_out * cell) {
                bytes.extend_from_slice(&row[out * cell..(out + 1) * cell]);
            }
        }
    }
    Bytes::owned(bytes)
}
