//! The forward pass of the BERT family, from token ids to one vector a token.
//!
//! Devlin et al. (2019), "BERT: Pre-training of Deep Bidirectional Transformers"; the names of tensors are those of
//! Hugging Face transformers. All windows of a batch are of one length, so there is no mask.

use candle_core::{D, Result, Tensor};
use candle_nn::ops::softmax_last_dim;
use candle_nn::{Embedding, LayerNorm, Module, VarBuilder, embedding, layer_norm};

use super::config::{Config, Family};
use super::ops::{Add, Line};

/// A model with its weights.
pub(super) struct Bert {
    words: Embedding,
    positions: Tensor,
    /// The vector of the one segment that there is; `DistilBERT` has none.
    segment: Option<Tensor>,
    norm: LayerNorm,
    layers: Vec<Layer>,
    first_position: usize,
    n_dims: usize,
}

struct Layer {
    query: Line,
    key: Line,
    value: Line,
    out: Line,
    attention_norm: LayerNorm,
    widen: Line,
    narrow: Line,
    norm: LayerNorm,
    n_heads: usize,
}

/// What a family calls its tensors.
struct Names {
    prefix: &'static str,
    layers: &'static str,
    query: &'static str,
    key: &'static str,
    value: &'static str,
    out: &'static str,
    attention_norm: &'static str,
    widen: &'static str,
    narrow: &'static str,
    norm: &'static str,
}

const BERT: Names = Names {
    prefix: "bert",
    layers: "encoder.layer",
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    out: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    widen: "intermediate.dense",
    narrow: "output.dense",
    norm: "output.LayerNorm",
};

const DISTILBERT: Names = Names {
    prefix: "distilbert",
    layers: "transformer.layer",
    query: "attention.q_lin",
    key: "attention.k_lin",
    value: "attention.v_lin",
    out: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    widen: "ffn.lin1",
    narrow: "ffn.lin2",
    norm: "output_layer_norm",
};

impl Bert {
    /// Takes the weights that the configuration names.
    pub(super) fn new(config: &Config, weights: VarBuilder<'_>) -> Result<Bert> {
        let names = match config.family {
            Family::Bert => BERT,
            Family::DistilBert => DISTILBERT,
            Family::Roberta => Names { prefix: "roberta", ..BERT },
        };
        // A checkpoint with a head has the encoder under its own name.
        let is_bare = weights.contains_tensor("embeddings.word_embeddings.weight");
        let weights = if is_bare { weights } else { weights.pp(names.prefix) };
        let tables = weights.pp("embeddings");
        let n_dims = config.n_dims;
        let segment = match config.family {
            Family::DistilBert => None,
            _ => {
                let table = embedding(config.n_types, n_dims, tables.pp("token_type_embeddings"))?;
                Some(table.embeddings().narrow(0, 0, 1)?)
            }
        };
        let positions = embedding(config.n_positions, n_dims, tables.pp("position_embeddings"))?;
        let layers = weights.pp(names.layers);
        let layer = |at: usize| Layer::new(config, &names, &layers.pp(at));
        Ok(Bert {
            words: embedding(config.n_vocab, n_dims, tables.pp("word_embeddings"))?,
            positions: positions.embeddings().clone(),
            segment,
            norm: layer_norm(n_dims, config.epsilon, tables.pp("LayerNorm"))?,
            layers: (0..config.n_layers).map(layer).collect::<Result<_>>()?,
            first_position: config.first_position,
            n_dims,
        })
    }

    /// Numbers of a vector.
    pub(super) fn n_dims(&self) -> usize {
        self.n_dims
    }

    /// `ids` is `[n_windows, n_tokens]`; the result `[n_windows, n_tokens, n_dims]`.
    pub(super) fn forward(&self, ids: &Tensor) -> Result<Tensor> {
        let (n_windows, n_tokens) = ids.dims2()?;
        let positions = self.positions.narrow(0, self.first_position, n_tokens)?;
        let mut hidden = self.words.forward(ids)?.broadcast_add(&positions)?;
        if let Some(segment) = &self.segment {
            hidden = hidden.broadcast_add(segment)?;
        }
        let rows = (n_windows * n_tokens, self.n_dims);
        hidden = self.norm.forward(&hidden)?.reshape(rows)?;
        for layer in &self.layers {
            hidden = layer.forward(&hidden, n_tokens)?;
        }
        hidden.reshape((n_windows, n_tokens, self.n_dims))
    }
}

impl Layer {
    fn new(config: &Config, names: &Names, weights: &VarBuilder<'_>) -> Result<Layer> {
        let (n_dims, n_inner) = (config.n_dims, config.n_inner);
        let line = |name: &str, n_in, n_out, activation| {
            let weights = weights.pp(name);
            let (weight, bias) =
                (weights.get((n_out, n_in), "weight")?, weights.get(n_out, "bias")?);
            Line::new(&weight, &bias, activation)
        };
        let square = |name: &str| line(name, n_dims, n_dims, None);
        let norm = |name: &str| layer_norm(n_dims, config.epsilon, weights.pp(name));
        Ok(Layer {
            query: square(names.query)?,
            key: square(names.key)?,
            value: square(names.value)?,
            out: square(names.out)?,
            attention_norm: norm(names.attention_norm)?,
            widen: line(names.widen, n_dims, n_inner, Some(config.activation))?,
            narrow: line(names.narrow, n_inner, n_dims, None)?,
            norm: norm(names.norm)?,
            n_heads: config.n_heads,
        })
    }

    /// `hidden` is `[n_windows * n_tokens, n_dims]`, and so is the result.
    fn forward(&self, hidden: &Tensor, n_tokens: usize) -> Result<Tensor> {
        let attended = self.out.forward(&self.attention(hidden, n_tokens)?)?;
        attended.inplace_op2(hidden, &Add)?;
        let hidden = self.attention_norm.forward(&attended)?;
        let wide = self.widen.forward(&hidden)?;
        let narrow = self.narrow.forward(&wide)?;
        narrow.inplace_op2(&hidden, &Add)?;
        self.norm.forward(&narrow)
    }

    /// Every token looks at every other of its window.
    fn attention(&self, hidden: &Tensor, n_tokens: usize) -> Result<Tensor> {
        let (n_rows, n_dims) = hidden.dims2()?;
        let head_dim = n_dims / self.n_heads;
        // `[n_windows, n_heads, n_tokens, head_dim]`
        let heads = |line: &Line| {
            let shape = (n_rows / n_tokens, n_tokens, self.n_heads, head_dim);
            line.forward(hidden)?.reshape(shape)?.transpose(1, 2)?.contiguous()
        };
        let (q, k, v) = (heads(&self.query)?, heads(&self.key)?, heads(&self.value)?);
        let scores = (q.matmul(&k.transpose(D::Minus2, D::Minus1)?)? / (head_dim as f64).sqrt())?;
        let mixed = softmax_last_dim(&scores)?.matmul(&v)?;
        mixed.transpose(1, 2)?.reshape((n_rows, n_dims))
    }
}
