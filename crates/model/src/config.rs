//! `config.json`: the numbers of a gpt-oss network, each checked before anything is sized by it.
//!
//! It knows the keys of the published files (20b, 120b and anything between) and no tensor. What is
//! done with the numbers is in `weights.rs` and `rope.rs`.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::ModelError;

/// The architecture this crate computes, as `model_type` names it.
const MODEL_TYPE: &str = "gpt_oss";
/// Slope of the gate's sigmoid: fixed in the kernels, absent from the published files.
const SWIGLU_ALPHA: f64 = 1.702;

/// A network's shape and constants, as `config.json` gives them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside one expert.
    pub intermediate_size: usize,
    /// What each layer attends to; one entry a layer.
    pub layers: Vec<LayerKind>,
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads; each serves `n_heads / n_kv_heads` query heads.
    pub n_kv_heads: usize,
    /// Width of a head; even.
    pub head_dim: usize,
    /// Experts in a layer.
    pub n_experts: usize,
    /// Experts that one token uses.
    pub n_experts_per_token: usize,
    /// Rows of the embedding and of the head.
    pub vocab_size: usize,
    /// Positions a sliding layer sees, the current one included.
    pub sliding_window: usize,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Rotary position embedding.
    pub rope: RopeConfig,
    /// Added to the mean square in every norm.
    pub rms_norm_eps: f32,
    /// Clamp of the experts' gate and up values.
    pub swiglu_limit: f32,
    /// How the experts' weights are stored.
    pub experts: ExpertFormat,
    /// `eos_token_id`, one or several; `generation_config.json` may know more.
    pub eos_tokens: Vec<u32>,
}

/// What a layer attends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerKind {
    /// The last `sliding_window` positions.
    Sliding,
    /// All positions so far.
    Full,
}

/// How the experts' weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpertFormat {
    /// Packed 4-bit groups: `*_blocks` and `*_scales`, rows `[n_out, n_in]`.
    Mxfp4,
    /// One float tensor each, stored `[n_in, n_out]` as transformers writes it.
    Plain,
}

/// Rotary position embedding with YaRN scaling. Factor 1 is plain rotation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RopeConfig {
    /// Base of the frequencies.
    pub theta: f64,
    /// How much longer the context is than the original one; at least 1.
    pub factor: f64,
    /// Context length before scaling.
    pub original_len: f64,
    /// Turns within the original length above which a frequency is left alone.
    pub beta_fast: f64,
    /// Turns below which a frequency is divided by `factor`.
    pub beta_slow: f64,
    /// Whether the range between them is rounded to whole indices (gpt-oss: no).
    pub truncate: bool,
}

impl Config {
    /// Reads the text of `config.json`; `path` is for error messages.
    ///
    /// # Errors
    /// [`ModelError::Json`], [`ModelError::Architecture`], or [`ModelError::Setting`] naming the key.
    pub fn from_json(path: &Path, json: &[u8]) -> Result<Config, ModelError> {
        let fields = Fields::parse(path, json)?;
        fields.check_architecture()?;
        fields.refuse_variants()?;
        let layers = fields.layers()?;
        let n_heads = fields.count("num_attention_heads", 1..=1024)?;
        let n_kv_heads = fields.count("num_key_value_heads", 1..=1024)?;
        if !n_heads.is_multiple_of(n_kv_heads) {
            return Err(fields.refused("num_key_value_heads", "a divisor of num_attention_heads"));
        }
        let head_dim = fields.count("head_dim", 2..=1024)?;
        if !head_dim.is_multiple_of(2) {
            return Err(fields.refused("head_dim", "an even number"));
        }
        let n_experts = fields.count("num_local_experts", 1..=4096)?;
        let n_experts_per_token = fields.count("num_experts_per_tok", 1..=4096)?;
        if n_experts_per_token > n_experts {
            return Err(fields.refused("num_experts_per_tok", "at most num_local_experts"));
        }
        let vocab_size = fields.count("vocab_size", 1..=1 << 24)?;
        Ok(Config {
            hidden_size: fields.count("hidden_size", 1..=1 << 17)?,
            intermediate_size: fields.count("intermediate_size", 1..=1 << 17)?,
            layers,
            n_heads,
            n_kv_heads,
            head_dim,
            n_experts,
            n_experts_per_token,
            vocab_size,
            sliding_window: fields.count("sliding_window", 1..=1 << 24)?,
            max_position_embeddings: fields.count("max_position_embeddings", 1..=1 << 24)?,
            rope: fields.rope()?,
            rms_norm_eps: fields.number("rms_norm_eps", 0.0..=1.0)? as f32,
            swiglu_limit: fields.number_or("swiglu_limit", 7.0, 0.0..=1e6)? as f32,
            experts: fields.expert_format()?,
            eos_tokens: fields.tokens("eos_token_id", vocab_size)?,
        })
    }

    /// Layers.
    pub fn n_layers(&self) -> usize {
        self.layers.len()
    }

    /// Floats of one position's keys, and of its values, in one layer.
    pub fn kv_width(&self) -> usize {
        self.n_kv_heads * self.head_dim
    }

    /// Floats of one position's queries in one layer.
    pub fn q_width(&self) -> usize {
        self.n_heads * self.head_dim
    }
}

/// Reads the stop tokens of `generation_config.json`: `eos_token_id`, one or several.
///
/// # Errors
/// [`ModelError::Json`], or [`ModelError::Setting`] when a token is no row of the model.
pub(crate) fn stop_tokens(
    path: &Path,
    json: &[u8],
    vocab_size: usize,
) -> Result<Vec<u32>, ModelError> {
    Fields::parse(path, json)?.tokens("eos_token_id", vocab_size)
}

/// The object of a JSON file, read key by key.
struct Fields {
    path: PathBuf,
    map: Map<String, Value>,
}

impl Fields {
    fn parse(path: &Path, json: &[u8]) -> Result<Fields, ModelError> {
        match serde_json::from_slice(json) {
            Ok(map) => Ok(Fields { path: path.to_owned(), map }),
            Err(source) => Err(ModelError::Json { path: path.to_owned(), source }),
        }
    }

    /// The value of `key`; `null` counts as absent.
    fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn refused(&self, key: &'static str, expected: impl Into<String>) -> ModelError {
        let found = self.get(key).map_or_else(|| "nothing".to_owned(), short);
        ModelError::Setting { path: self.path.clone(), key, found, expected: expected.into() }
    }

    fn count(&self, key: &'static str, range: RangeInclusive<usize>) -> Result<usize, ModelError> {
        let value = self.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        value.filter(|n| range.contains(n)).ok_or_else(|| {
            self.refused(key, format!("a whole number from {} to {}", range.start(), range.end()))
        })
    }

    fn number(&self, key: &'static str, range: RangeInclusive<f64>) -> Result<f64, ModelError> {
        let value = self.get(key).and_then(Value::as_f64);
        value.filter(|x| range.contains(x)).ok_or_else(|| {
            self.refused(key, format!("a number from {} to {}", range.start(), range.end()))
        })
    }

    fn number_or(
        &self,
        key: &'static str,
        default: f64,
        range: RangeInclusive<f64>,
    ) -> Result<f64, ModelError> {
        if self.get(key).is_none() { Ok(default) } else { self.number(key, range) }
    }

    fn flag_or(&self, key: &'static str, default: bool) -> Result<bool, ModelError> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value.as_bool().ok_or_else(|| self.refused(key, "true or false")),
        }
    }

    fn check_architecture(&self) -> Result<(), ModelError> {
        let found = match (self.get("model_type"), self.get("architectures")) {
            (Some(Value::String(name)), _) if name == MODEL_TYPE => return Ok(()),
            (Some(other), _) | (None, Some(other)) => short(other),
            (None, None) => "nothing".to_owned(),
        };
        Err(ModelError::Architecture { path: self.path.clone(), found })
    }

    /// Refuses variants of the architecture that would otherwise be computed wrongly in silence.
    fn refuse_variants(&self) -> Result<(), ModelError> {
        if !self.flag_or("attention_bias", true)? {
            return Err(self.refused("attention_bias", "true"));
        }
        if self.flag_or("tie_word_embeddings", false)? {
            return Err(self.refused("tie_word_embeddings", "false"));
        }
        if self.get("hidden_act").is_some_and(|act| act != "silu") {
            return Err(self.refused("hidden_act", "\"silu\""));
        }
        if self.number_or("swiglu_alpha", SWIGLU_ALPHA, f64::MIN..=f64::MAX)? != SWIGLU_ALPHA {
            return Err(self.refused("swiglu_alpha", SWIGLU_ALPHA.to_string()));
        }
        Ok(())
    }

    /// `layer_types`, or sliding and full in turns where it is missing.
    fn layers(&self) -> Result<Vec<LayerKind>, ModelError> {
        let n_layers = self.count("num_hidden_layers", 1..=1024)?;
        let Some(types) = self.get("layer_types") else {
            let in_turns = [LayerKind::Sliding, LayerKind::Full];
            return Ok(in_turns.into_iter().cycle().take(n_layers).collect());
        };
        let kinds: Option<Vec<LayerKind>> = types.as_array().and_then(|types| {
            types
                .iter()
                .map(|name| match name.as_str()? {
                    "sliding_attention" => Some(LayerKind::Sliding),
                    "full_attention" => Some(LayerKind::Full),
                    _ => None,
                })
                .collect()
        });
        kinds.filter(|kinds| kinds.len() == n_layers).ok_or_else(|| {
            self.refused(
                "layer_types",
                format!("{n_layers} times \"sliding_attention\" or \"full_attention\""),
            )
        })
    }

    fn expert_format(&self) -> Result<ExpertFormat, ModelError> {
        match self.get("quantization_config").map(|config| &config["quant_method"]) {
            None => Ok(ExpertFormat::Plain),
            Some(method) if method == "mxfp4" => Ok(ExpertFormat::Mxfp4),
            Some(_) => {
                Err(self.refused("quantization_config", "{\"quant_method\": \"mxfp4\"} or nothing"))
            }
        }
    }

    /// `rope_parameters` (newer files: everything inside) or `rope_theta` and `rope_scaling`.
    fn rope(&self) -> Result<RopeConfig, ModelError> {
        let section = ["rope_parameters", "rope_scaling"]
            .into_iter()
            .find_map(|key| Some((key, self.get(key)?)));
        let scaling = match section {
            None => Fields { path: self.path.clone(), map: Map::new() },
            Some((_, Value::Object(map))) => Fields { path: self.path.clone(), map: map.clone() },
            Some((key, _)) => return Err(self.refused(key, "an object")),
        };
        let theta_at = if scaling.get("rope_theta").is_some() { &scaling } else { self };
        let theta = theta_at.number("rope_theta", 1.0 + 1e-3..=1e12)?;
        // Turns are counted in this length, so it may not be nothing even where nothing is scaled.
        let original = |at: &Fields, key| at.number(key, 1.0..=16_777_216.0);
        let plain = RopeConfig {
            theta,
            factor: 1.0,
            original_len: original(self, "max_position_embeddings")?,
            beta_fast: 32.0,
            beta_slow: 1.0,
            truncate: true,
        };
        let kind = scaling.get("rope_type").or_else(|| scaling.get("type"));
        match kind.map_or(Some("default"), Value::as_str) {
            Some("default") => return Ok(plain),
            Some("yarn") => {}
            _ => return Err(scaling.refused("rope_type", "\"yarn\" or \"default\"")),
        }
        for key in ["attention_factor", "mscale", "mscale_all_dim"] {
            if scaling.get(key).is_some() {
                return Err(scaling.refused(key, "nothing: gpt-oss derives it from the factor"));
            }
        }
        let original_len = if scaling.get("original_max_position_embeddings").is_some() {
            original(&scaling, "original_max_position_embeddings")?
        } else {
            original(self, "initial_context_length")?
        };
        Ok(RopeConfig {
            theta,
            factor: scaling.number("factor", 1.0..=65_536.0)?,
            original_len,
            beta_fast: scaling.number_or("beta_fast", plain.beta_fast, 1e-3..=1e6)?,
            beta_slow: scaling.number_or("beta_slow", plain.beta_slow, 1e-3..=1e6)?,
            truncate: scaling.flag_or("truncate", plain.truncate)?,
        })
    }

    /// A token, a list of tokens, or none.
    fn tokens(&self, key: &'static str, vocab_size: usize) -> Result<Vec<u32>, ModelError> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let one = std::slice::from_ref(value);
        let list = value.as_array().map_or(one, Vec::as_slice);
        let tokens: Option<Vec<u32>> = list
            .iter()
            .map(|token| {
                let token = token.as_u64().filter(|&token| token < vocab_size as u64)?;
                u32::try_from(token).ok()
            })
            .collect();
        tokens.ok_or_else(|| self.refused(key, format!("tokens below {vocab_size}")))
    }
}

/// A value as text, cut where a message would become unreadable.
fn short(value: &Value) -> String {
    const MAX_CHARS: usize = 80;
    let text = value.to_string();
    match text.char_indices().nth(MAX_CHARS) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
