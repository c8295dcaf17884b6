//! Random weights of a published shape, made in memory: speed can be measured before any download.
//!
//! The bytes are a whole safetensors file, so that everything behind it is what a download goes through.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use memmap2::{Advice, MmapMut};
use serde_json::{Map, Value, json};

use crate::error::ModelError;

/// A published network, by its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// gpt-oss-20b and gpt-oss-safeguard-20b: 13.8 GB.
    Small,
    /// gpt-oss-120b and gpt-oss-safeguard-120b: 65 GB.
    Large,
    /// Two narrow layers with the real vocabulary: 26 MB, for tests.
    Tiny,
}

impl Shape {
    /// All of them, smallest last.
    pub const ALL: [Shape; 3] = [Shape::Small, Shape::Large, Shape::Tiny];

    /// Sizes of the network.
    fn sizes(self) -> Sizes {
        let published = Sizes {
            n_layers: 24,
            hidden: 2880,
            inner: 2880,
            n_heads: 64,
            n_kv_heads: 8,
            n_experts: 32,
            vocab: 201_088,
        };
        match self {
            Shape::Small => published,
            Shape::Large => Sizes { n_layers: 36, n_experts: 128, ..published },
            Shape::Tiny => Sizes {
                n_layers: 2,
                hidden: 32,
                inner: 32,
                n_heads: 4,
                n_kv_heads: 2,
                n_experts: 4,
                ..published
            },
        }
    }

    /// Bytes of all weights.
    pub fn n_bytes(self) -> usize {
        self.sizes().tensors().iter().map(Plan::n_bytes).sum()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Shape::Small => "20b",
            Shape::Large => "120b",
            Shape::Tiny => "tiny",
        })
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(name: &str) -> Result<Shape, String> {
        let known = Shape::ALL.into_iter().find(|shape| shape.to_string() == name);
        known.ok_or_else(|| format!("no shape is called {name}; there are 20b, 120b and tiny"))
    }
}

#[derive(Clone, Copy)]
struct Sizes {
    n_layers: usize,
    hidden: usize,
    inner: usize,
    n_heads: usize,
    n_kv_heads: usize,
    n_experts: usize,
    vocab: usize,
}

/// Width of a head in both published networks.
const HEAD_DIM: usize = 64;

/// What a tensor is filled with: eight random bytes at a time, `random & mask | base`.
#[derive(Clone, Copy)]
struct Fill {
    mask: u64,
    base: u64,
}

/// bfloat16 between 2^-7 and 2^-5, either sign: as large as trained matrices.
const MATRIX: Fill = bf16(0x80ff, 0x3c00);
/// bfloat16 between 1/8 and 1/2, either sign.
const EMBEDDING: Fill = bf16(0x80ff, 0x3e00);
/// bfloat16 between 1/2 and 2, either sign.
const SINK: Fill = bf16(0x80ff, 0x3f00);
/// bfloat16 one.
const ONE: Fill = bf16(0, 0x3f80);
/// Any 4-bit floats.
const CODES: Fill = Fill { mask: !0, base: 0 };
/// 2^-7 or 2^-6 as the scale of a group: an expert keeps its input's size.
const SCALES: Fill = Fill { mask: 0x0101_0101_0101_0101, base: 0x7878_7878_7878_7878 };

const fn bf16(mask: u64, base: u64) -> Fill {
    Fill { mask: mask * 0x0001_0001_0001_0001, base: base * 0x0001_0001_0001_0001 }
}

struct Plan {
    name: String,
    dtype: &'static str,
    shape: Vec<usize>,
    fill: Fill,
}

impl Plan {
    fn n_bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * if self.dtype == "U8" { 1 } else { 2 }
    }
}

impl Sizes {
    fn config(&self) -> Value {
        json!({
            "model_type": "gpt_oss",
            "vocab_size": self.vocab,
            "hidden_size": self.hidden,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.n_layers,
            "num_attention_heads": self.n_heads,
            "num_key_value_heads": self.n_kv_heads,
            "head_dim": HEAD_DIM,
            "num_local_experts": self.n_experts,
            "num_experts_per_tok": 4,
            "sliding_window": 128,
            "max_position_embeddings": 131_072,
            "initial_context_length": 4096,
            "rope_theta": 150_000,
            "rope_scaling": {
                "rope_type": "yarn", "factor": 32.0, "original_max_position_embeddings": 4096,
                "beta_fast": 32.0, "beta_slow": 1.0, "truncate": false,
            },
            "quantization_config": { "quant_method": "mxfp4" },
            "eos_token_id": 200_002,
        })
    }

    fn tensors(&self) -> Vec<Plan> {
        let Sizes { hidden, vocab, .. } = *self;
        let mut plans = vec![float("model.embed_tokens.weight", &[vocab, hidden], EMBEDDING)];
        for layer in 0..self.n_layers {
            self.push_layer(&format!("model.layers.{layer}."), &mut plans);
        }
        plans.push(float("model.norm.weight", &[hidden], ONE));
        plans.push(float("lm_head.weight", &[vocab, hidden], MATRIX));
        plans
    }

    fn push_layer(&self, prefix: &str, plans: &mut Vec<Plan>) {
        let Sizes { hidden, inner, n_experts, .. } = *self;
        let (q, kv) = (self.n_heads * HEAD_DIM, self.n_kv_heads * HEAD_DIM);
        let mut push = |name: &str, shape: &[usize], fill| {
            plans.push(float(&format!("{prefix}{name}"), shape, fill));
        };
        push("input_layernorm.weight", &[hidden], ONE);
        for (name, n_out, n_in) in
            [("q", q, hidden), ("k", kv, hidden), ("v", kv, hidden), ("o", hidden, q)]
        {
            push(&format!("self_attn.{name}_proj.weight"), &[n_out, n_in], MATRIX);
            push(&format!("self_attn.{name}_proj.bias"), &[n_out], MATRIX);
        }
        push("self_attn.sinks", &[self.n_heads], SINK);
        push("post_attention_layernorm.weight", &[hidden], ONE);
        push("mlp.router.weight", &[n_experts, hidden], MATRIX);
        push("mlp.router.bias", &[n_experts], MATRIX);
        push("mlp.experts.gate_up_proj_bias", &[n_experts, 2 * inner], MATRIX);
        push("mlp.experts.down_proj_bias", &[n_experts, hidden], MATRIX);
        for (name, n_out, n_in) in [("gate_up", 2 * inner, hidden), ("down", hidden, inner)] {
            let name = format!("{prefix}mlp.experts.{name}_proj");
            let n_groups = n_in / kernels::GROUP;
            plans.push(packed(format!("{name}_blocks"), &[n_experts, n_out, n_groups, 16], CODES));
            plans.push(packed(format!("{name}_scales"), &[n_experts, n_out, n_groups], SCALES));
        }
    }
}

fn float(name: &str, shape: &[usize], fill: Fill) -> Plan {
    Plan { name: name.to_owned(), dtype: "BF16", shape: shape.to_vec(), fill }
}

fn packed(name: String, shape: &[usize], fill: Fill) -> Plan {
    Plan { name, dtype: "U8", shape: shape.to_vec(), fill }
}

/// `config.json` of a shape.
pub(crate) fn config(shape: Shape) -> Vec<u8> {
    shape.sizes().config().to_string().into_bytes()
}

/// The bytes of a safetensors file with random weights of a shape, the same for the same seed.
///
/// # Errors
/// [`ModelError::Read`] when the system does not give the memory.
pub(crate) fn image(
    shape: Shape,
    seed: u64,
    n_threads: usize,
) -> Result<memmap2::Mmap, ModelError> {
    let failed = |source| ModelError::Read {
        path: Path::new(&format!("random {shape}")).to_owned(),
        source,
    };
    let plans = shape.sizes().tensors();
    let header = header(&plans);
    let n_weights: usize = plans.iter().map(Plan::n_bytes).sum();
    let mut image = MmapMut::map_anon(header.len() + n_weights).map_err(failed)?;
    // Large pages where the system has them; it works without.
    let _ = image.advise(Advice::HugePage);
    let (head, mut rest) = image.split_at_mut(header.len());
    head.copy_from_slice(&header);
    let mut pieces = Vec::new();
    for plan in &plans {
        let (tensor, behind) = rest.split_at_mut(plan.n_bytes());
        rest = behind;
        pieces.extend(tensor.chunks_mut(PIECE).map(|piece| (piece, plan.fill)));
    }
    fill_all(pieces, seed, n_threads);
    image.make_read_only().map_err(failed)
}

/// Bytes that a thread fills at once.
const PIECE: usize = 1 << 20;

fn header(plans: &[Plan]) -> Vec<u8> {
    let mut entries = Map::new();
    let mut start = 0;
    for plan in plans {
        let end = start + plan.n_bytes();
        entries.insert(
            plan.name.clone(),
            json!({ "dtype": plan.dtype, "shape": plan.shape, "data_offsets": [start, end] }),
        );
        start = end;
    }
    let mut text = Value::from(entries).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(64), b' ');
    let mut header = (text.len() as u64).to_le_bytes().to_vec();
    header.extend(text);
    header
}

fn fill_all(pieces: Vec<(&mut [u8], Fill)>, seed: u64, n_threads: usize) {
    let pieces = std::sync::Mutex::new(pieces.into_iter().enumerate());
    std::thread::scope(|scope| {
        for _ in 0..n_threads.max(1) {
            scope.spawn(|| {
                loop {
                    let next = pieces.lock().map(|mut pieces| pieces.next());
                    let Ok(Some((at, (piece, fill)))) = next else { return };
                    fill_piece(piece, fill, seed.wrapping_add(at as u64).wrapping_mul(ODD));
                }
            });
        }
    });
}

/// An odd number with bits everywhere (the golden ratio): splitmix's step.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

fn fill_piece(piece: &mut [u8], fill: Fill, mut state: u64) {
    let (words, rest) = piece.as_chunks_mut::<8>();
    let mut next = || {
        state = state.wrapping_add(ODD);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (((mixed ^ (mixed >> 27)) & fill.mask) | fill.base).to_le_bytes()
    };
    for word in words {
        *word = next();
    }
    let last = next();
    rest.copy_from_slice(&last[..rest.len()]);
}
