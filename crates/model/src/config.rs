//! `config.json`: the numbers of a network, all checked before anything is allocated by them.

use std::path::Path;

use serde::Deserialize;

use crate::error::ModelError;

/// The largest number that any size in a configuration may have: 2^24, far above the 120b's vocabulary,
/// and small enough that products of three never overflow 64 bits.
const MOST: usize = 1 << 24;
/// Layers, heads and experts: no published network comes near.
const MOST_PARTS: usize = 4096;
/// Slope of the gate's sigmoid: fixed in the kernels; newer files may name it.
const SWIGLU_ALPHA: f64 = 1.702;

/// The network's numbers, named as in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Rows of embedding and head.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of one expert.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; each serves a group of query heads.
    pub num_key_value_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Experts of a layer.
    pub num_local_experts: usize,
    /// Experts that a token uses.
    pub num_experts_per_tok: usize,
    /// Keys that a sliding layer sees, the current one included.
    pub sliding_window: usize,
    /// For each layer, whether it slides.
    pub is_sliding: Vec<bool>,
    /// Positions there are.
    pub max_position_embeddings: usize,
    /// Added to the mean square.
    pub rms_norm_eps: f32,
    /// Clamp inside the experts.
    pub swiglu_limit: f32,
    /// Rotary embedding.
    pub rope: RopeConfig,
    /// How the experts are stored.
    pub experts: ExpertFormat,
    /// Tokens that end a text, as far as this file knows them.
    pub eos_tokens: Vec<u32>,
}

/// How the experts' matrices are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpertFormat {
    /// Packed: `*_blocks` and `*_scales`, rows `[n_out, n_in]`.
    Mxfp4,
    /// Floats, `[n_in, n_out]` each: checkpoints that were never quantised.
    Plain,
}

/// Rotary embedding with `YaRN`; factor 1 is plain rotation.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeConfig {
    /// Base of the frequencies.
    pub theta: f64,
    /// How much the context was stretched.
    pub factor: f64,
    /// Context before stretching.
    pub original_len: usize,
    /// Turns within the original context above which a frequency stays.
    pub beta_fast: f64,
    /// Turns below which it is divided by the factor.
    pub beta_slow: f64,
    /// Whether the borders are rounded outwards (gpt-oss: no).
    pub truncate: bool,
}

impl Config {
    /// Reads the text of a `config.json`; `path` is for messages.
    ///
    /// # Errors
    /// [`ModelError::Json`], [`ModelError::Architecture`], or [`ModelError::Config`] for the first number
    /// that cannot be.
    pub fn from_json(bytes: &[u8], path: &Path) -> Result<Config, ModelError> {
        let file: File = serde_json::from_slice(bytes)
            .map_err(|source| ModelError::Json { path: path.to_owned(), source })?;
        if file.model_type.as_deref() != Some("gpt_oss") {
            let found = file.model_type.unwrap_or_else(|| "not named".to_owned());
            return Err(ModelError::Architecture { path: path.to_owned(), found });
        }
        Reader { file, path }.read()
    }

    /// Query heads that share one key and value head.
    pub fn group_size(&self) -> usize {
        self.num_attention_heads / self.num_key_value_heads
    }

    /// Floats of the keys, or the values, of one position in one layer.
    pub fn kv_width(&self) -> usize {
        self.num_key_value_heads * self.head_dim
    }
}

/// The stop tokens of a `generation_config.json`; `path` is for messages.
pub(crate) fn stop_tokens(
    bytes: &[u8],
    path: &Path,
    vocab_size: usize,
) -> Result<Vec<u32>, ModelError> {
    let file: File = serde_json::from_slice(bytes)
        .map_err(|source| ModelError::Json { path: path.to_owned(), source })?;
    let reader = Reader { file, path };
    reader.tokens("eos_token_id", reader.file.eos_token_id.as_ref(), vocab_size)
}

/// The file as it is written; every number may be absent or absurd.
#[derive(Deserialize)]
struct File {
    model_type: Option<String>,
    vocab_size: Option<u64>,
    hidden_size: Option<u64>,
    intermediate_size: Option<u64>,
    num_hidden_layers: Option<u64>,
    num_attention_heads: Option<u64>,
    num_key_value_heads: Option<u64>,
    head_dim: Option<u64>,
    num_local_experts: Option<u64>,
    num_experts_per_tok: Option<u64>,
    experts_per_token: Option<u64>,
    sliding_window: Option<u64>,
    layer_types: Option<Vec<String>>,
    max_position_embeddings: Option<u64>,
    rms_norm_eps: Option<f64>,
    swiglu_limit: Option<f64>,
    rope_theta: Option<f64>,
    rope_scaling: Option<Rope>,
    rope_parameters: Option<Rope>,
    tie_word_embeddings: Option<bool>,
    attention_bias: Option<bool>,
    hidden_act: Option<String>,
    swiglu_alpha: Option<f64>,
    initial_context_length: Option<u64>,
    quantization_config: Option<Quantization>,
    eos_token_id: Option<OneOrMany>,
}

#[derive(Deserialize)]
struct Quantization {
    quant_method: Option<String>,
}

/// Tokens as people write them: one, or a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(u64),
    Many(Vec<u64>),
}

#[derive(Clone, Default, Deserialize)]
struct Rope {
    #[serde(alias = "type")]
    rope_type: Option<String>,
    rope_theta: Option<f64>,
    factor: Option<f64>,
    original_max_position_embeddings: Option<u64>,
    beta_fast: Option<f64>,
    beta_slow: Option<f64>,
    truncate: Option<bool>,
    attention_factor: Option<f64>,
    mscale: Option<f64>,
    mscale_all_dim: Option<f64>,
}

struct Reader<'a> {
    file: File,
    path: &'a Path,
}

impl Reader<'_> {
    fn read(&self) -> Result<Config, ModelError> {
        let file = &self.file;
        let n_layers = self.size("num_hidden_layers", file.num_hidden_layers, MOST_PARTS)?;
        let n_heads = self.size("num_attention_heads", file.num_attention_heads, MOST_PARTS)?;
        let n_kv_heads = self.size("num_key_value_heads", file.num_key_value_heads, MOST_PARTS)?;
        if !n_heads.is_multiple_of(n_kv_heads) {
            let expected = format!("a divisor of num_attention_heads ({n_heads})");
            return Err(self.refused("num_key_value_heads", n_kv_heads, expected));
        }
        let head_dim = self.size("head_dim", file.head_dim, MOST_PARTS)?;
        if !head_dim.is_multiple_of(2) {
            return Err(self.refused("head_dim", head_dim, "even".to_owned()));
        }
        let n_experts = self.size("num_local_experts", file.num_local_experts, MOST_PARTS)?;
        let per_token = file.num_experts_per_tok.or(file.experts_per_token);
        let n_used = self.size("num_experts_per_tok", per_token, n_experts)?;
        self.refuse_variants()?;
        let experts = self.expert_format()?;
        let vocab_size = self.size("vocab_size", file.vocab_size, MOST)?;
        Ok(Config {
            vocab_size,
            hidden_size: self.width("hidden_size", file.hidden_size, experts)?,
            intermediate_size: self.width("intermediate_size", file.intermediate_size, experts)?,
            num_hidden_layers: n_layers,
            num_attention_heads: n_heads,
            num_key_value_heads: n_kv_heads,
            head_dim,
            num_local_experts: n_experts,
            num_experts_per_tok: n_used,
            sliding_window: self.size("sliding_window", file.sliding_window, MOST)?,
            is_sliding: self.layer_kinds(n_layers)?,
            max_position_embeddings: self.size(
                "max_position_embeddings",
                file.max_position_embeddings,
                MOST,
            )?,
            rms_norm_eps: self.positive("rms_norm_eps", file.rms_norm_eps.unwrap_or(1e-5))? as f32,
            swiglu_limit: self.positive("swiglu_limit", file.swiglu_limit.unwrap_or(7.0))? as f32,
            rope: self.rope()?,
            experts,
            eos_tokens: self.tokens("eos_token_id", file.eos_token_id.as_ref(), vocab_size)?,
        })
    }

    /// Variants of the network that would otherwise be computed wrongly, and in silence.
    fn refuse_variants(&self) -> Result<(), ModelError> {
        let file = &self.file;
        if file.tie_word_embeddings == Some(true) {
            return Err(self.refused("tie_word_embeddings", true, "false".to_owned()));
        }
        if file.attention_bias == Some(false) {
            return Err(self.refused("attention_bias", false, "true".to_owned()));
        }
        if let Some(act) = file.hidden_act.as_ref().filter(|act| *act != "silu") {
            return Err(self.refused("hidden_act", act, "silu".to_owned()));
        }
        if let Some(alpha) = file.swiglu_alpha.filter(|&alpha| alpha != SWIGLU_ALPHA) {
            return Err(self.refused("swiglu_alpha", alpha, SWIGLU_ALPHA.to_string()));
        }
        Ok(())
    }

    fn expert_format(&self) -> Result<ExpertFormat, ModelError> {
        let Some(quantization) = &self.file.quantization_config else {
            return Ok(ExpertFormat::Plain);
        };
        match quantization.quant_method.as_deref() {
            Some("mxfp4") => Ok(ExpertFormat::Mxfp4),
            other => {
                Err(self.refused("quant_method", other.unwrap_or("absent"), "mxfp4".to_owned()))
            }
        }
    }

    fn tokens(
        &self,
        key: &'static str,
        tokens: Option<&OneOrMany>,
        vocab_size: usize,
    ) -> Result<Vec<u32>, ModelError> {
        let tokens = match tokens {
            None => &[],
            Some(OneOrMany::One(token)) => std::slice::from_ref(token),
            Some(OneOrMany::Many(tokens)) => tokens.as_slice(),
        };
        let row = |&token: &u64| {
            let row = u32::try_from(token).ok().filter(|&row| (row as usize) < vocab_size);
            row.ok_or_else(|| self.refused(key, token, format!("below vocab_size ({vocab_size})")))
        };
        tokens.iter().map(row).collect()
    }

    fn size(
        &self,
        key: &'static str,
        value: Option<u64>,
        most: usize,
    ) -> Result<usize, ModelError> {
        let found =
            value.ok_or_else(|| self.refused(key, "absent", format!("between 1 and {most}")))?;
        usize::try_from(found)
            .ok()
            .filter(|size| (1..=most).contains(size))
            .ok_or_else(|| self.refused(key, found, format!("between 1 and {most}")))
    }

    /// A width, which groups of packed experts must divide.
    fn width(
        &self,
        key: &'static str,
        value: Option<u64>,
        experts: ExpertFormat,
    ) -> Result<usize, ModelError> {
        let size = self.size(key, value, MOST)?;
        if experts == ExpertFormat::Mxfp4 && !size.is_multiple_of(kernels::GROUP) {
            return Err(self.refused(key, size, format!("a multiple of {}", kernels::GROUP)));
        }
        Ok(size)
    }

    fn positive(&self, key: &'static str, value: f64) -> Result<f64, ModelError> {
        if (1e-12..=1e12).contains(&value) {
            return Ok(value);
        }
        Err(self.refused(key, value, "between 1e-12 and 1e12".to_owned()))
    }

    /// Without `layer_types`, even layers slide.
    fn layer_kinds(&self, n_layers: usize) -> Result<Vec<bool>, ModelError> {
        let Some(kinds) = &self.file.layer_types else {
            return Ok((0..n_layers).map(|layer| layer % 2 == 0).collect());
        };
        if kinds.len() != n_layers {
            return Err(self.refused(
                "layer_types",
                format!("{} long", kinds.len()),
                format!("{n_layers} long"),
            ));
        }
        kinds
            .iter()
            .map(|kind| match kind.as_str() {
                "sliding_attention" => Ok(true),
                "full_attention" => Ok(false),
                _ => Err(self.refused(
                    "layer_types",
                    kind,
                    "sliding_attention or full_attention".to_owned(),
                )),
            })
            .collect()
    }

    /// `rope_parameters` (newer files) or `rope_scaling` with `rope_theta`.
    fn rope(&self) -> Result<RopeConfig, ModelError> {
        let rope = self
            .file
            .rope_parameters
            .clone()
            .or(self.file.rope_scaling.clone())
            .unwrap_or_default();
        let theta = rope.rope_theta.or(self.file.rope_theta).unwrap_or(150_000.0);
        // At 1 all frequencies would be the same, and where they change could not be said.
        if !(1.001..=1e12).contains(&theta) {
            return Err(self.refused("rope_theta", theta, "between 1.001 and 1e12".to_owned()));
        }
        let kind = rope.rope_type.as_deref().unwrap_or("default");
        if !["yarn", "default"].contains(&kind) {
            return Err(self.refused("rope_type", kind, "yarn or default".to_owned()));
        }
        let own_magnitude = [rope.attention_factor, rope.mscale, rope.mscale_all_dim];
        if let Some(magnitude) = own_magnitude.into_iter().flatten().next() {
            let expected = "absent: gpt-oss derives it from the factor".to_owned();
            return Err(self.refused("attention_factor", magnitude, expected));
        }
        let is_yarn = kind == "yarn";
        let factor = if is_yarn { rope.factor.unwrap_or(1.0) } else { 1.0 };
        let original = rope
            .original_max_position_embeddings
            .or(self.file.initial_context_length)
            .or(self.file.max_position_embeddings);
        Ok(RopeConfig {
            theta,
            factor: self.positive("factor", factor)?,
            original_len: self.size("original_max_position_embeddings", original, MOST)?,
            beta_fast: self.positive("beta_fast", rope.beta_fast.unwrap_or(32.0))?,
            beta_slow: self.positive("beta_slow", rope.beta_slow.unwrap_or(1.0))?,
            // As in transformers, where an absent key means true.
            truncate: rope.truncate.unwrap_or(true),
        })
    }

    fn refused(&self, key: &'static str, found: impl ToString, expected: String) -> ModelError {
        ModelError::Config { path: self.path.to_owned(), key, found: found.to_string(), expected }
    }
}
