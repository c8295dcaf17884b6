//! What the directory's JSON files say of the model and of how sentence-transformers uses it.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::EmbedError;
use super::read_if_there;

/// The kinds of model that can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Bert,
    DistilBert,
    /// And XLM-RoBERTa: positions are counted from the padding's id on.
    Roberta,
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Family::Bert => "bert",
            Family::DistilBert => "distilbert",
            Family::Roberta => "roberta",
        })
    }
}

/// How a layer bends what it has widened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activation {
    /// With the error function.
    Gelu,
    /// With the hyperbolic tangent in its place.
    GeluTanh,
    Relu,
}

/// The shape of the model.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) family: Family,
    pub(super) n_vocab: usize,
    pub(super) n_dims: usize,
    pub(super) n_layers: usize,
    pub(super) n_heads: usize,
    /// Width inside a layer.
    pub(super) n_inner: usize,
    /// Rows of the table of positions.
    pub(super) n_positions: usize,
    pub(super) n_types: usize,
    /// The row of the first position.
    pub(super) first_position: usize,
    pub(super) activation: Activation,
    pub(super) epsilon: f64,
}

/// `config.json`; `DistilBERT` has names of its own.
#[derive(Deserialize)]
struct Raw {
    model_type: String,
    vocab_size: usize,
    #[serde(alias = "dim")]
    hidden_size: usize,
    #[serde(alias = "n_layers")]
    num_hidden_layers: usize,
    #[serde(alias = "n_heads")]
    num_attention_heads: usize,
    #[serde(alias = "hidden_dim")]
    intermediate_size: usize,
    max_position_embeddings: usize,
    #[serde(default = "usual_types")]
    type_vocab_size: usize,
    #[serde(alias = "activation")]
    hidden_act: String,
    /// `DistilBERT` has it in its code.
    #[serde(default = "usual_epsilon")]
    layer_norm_eps: f64,
    pad_token_id: Option<usize>,
    position_embedding_type: Option<String>,
}

fn usual_types() -> usize {
    2
}

fn usual_epsilon() -> f64 {
    1e-12
}

/// More layers, heads or numbers than any model of the family has.
const MAX_COUNT: usize = 1 << 20;

impl Config {
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Config, EmbedError> {
        let raw: Raw = json(path, bytes)?;
        let wrong = |field, problem: String| {
            Err(EmbedError::Field { path: path.to_owned(), field, problem })
        };
        let family = match raw.model_type.as_str() {
            "bert" => Family::Bert,
            "distilbert" => Family::DistilBert,
            "roberta" | "xlm-roberta" => Family::Roberta,
            other => {
                let known = "bert, distilbert, roberta and xlm-roberta can be run";
                return wrong("model_type", format!("{other:?} is not known; {known}"));
            }
        };
        let activation = match raw.hidden_act.as_str() {
            "gelu" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" => Activation::GeluTanh,
            "relu" => Activation::Relu,
            other => return wrong("hidden_act", format!("{other:?} is not known")),
        };
        if let Some(kind) = raw.position_embedding_type.filter(|kind| kind != "absolute") {
            return wrong("position_embedding_type", format!("{kind:?} is not known"));
        }
        let counts = [
            ("vocab_size", raw.vocab_size),
            ("hidden_size", raw.hidden_size),
            ("num_hidden_layers", raw.num_hidden_layers),
            ("num_attention_heads", raw.num_attention_heads),
            ("intermediate_size", raw.intermediate_size),
            ("max_position_embeddings", raw.max_position_embeddings),
        ];
        for (field, count) in counts {
            if !(1..=MAX_COUNT).contains(&count) {
                return wrong(field, format!("{count} is not from 1 to {MAX_COUNT}"));
            }
        }
        if !raw.hidden_size.is_multiple_of(raw.num_attention_heads) {
            let problem = format!("{} heads do not divide it", raw.num_attention_heads);
            return wrong("hidden_size", problem);
        }
        let first_position = match family {
            // The row after the padding's, as fairseq laid it out.
            Family::Roberta => raw.pad_token_id.unwrap_or(1).saturating_add(1),
            _ => 0,
        };
        Ok(Config {
            family,
            n_vocab: raw.vocab_size,
            n_dims: raw.hidden_size,
            n_layers: raw.num_hidden_layers,
            n_heads: raw.num_attention_heads,
            n_inner: raw.intermediate_size,
            n_positions: raw.max_position_embeddings,
            n_types: raw.type_vocab_size,
            first_position,
            activation,
            epsilon: raw.layer_norm_eps,
        })
    }
}

/// How a window's vector is made of its tokens'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pooling {
    /// The mean over all tokens.
    Mean,
    /// The first token's.
    First,
}

/// What sentence-transformers wraps around the model.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub(super) pooling: Pooling,
    pub(super) is_unit_length: bool,
    pub(super) is_lower_case: bool,
    /// Most tokens in a window, the control tokens among them.
    pub(super) max_tokens: usize,
}

#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Default, Deserialize)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
}

impl Recipe {
    pub(super) fn read(directory: &Path, config: &Config) -> Result<Recipe, EmbedError> {
        let modules_path = directory.join("modules.json");
        let modules: Option<Vec<Module>> = json_if_there(&modules_path)?;
        let mut pooling_folder = "1_Pooling".to_owned();
        for module in modules.iter().flatten() {
            match module.kind.rsplit('.').next().unwrap_or_default() {
                "Transformer" | "Normalize" => {}
                "Pooling" => pooling_folder.clone_from(&module.path),
                other => {
                    let problem =
                        format!("{other:?} cannot be run; only Transformer, Pooling, Normalize");
                    return Err(EmbedError::Field { path: modules_path, field: "type", problem });
                }
            }
        }
        let is_normalising = |module: &Module| module.kind.ends_with(".Normalize");
        let sentence: SentenceConfig =
            json_if_there(&directory.join("sentence_bert_config.json"))?.unwrap_or_default();
        let n_positions = config.n_positions.saturating_sub(config.first_position);
        Ok(Recipe {
            pooling: pooling(&directory.join(pooling_folder).join("config.json"))?,
            is_unit_length: modules.is_none_or(|modules| modules.iter().any(is_normalising)),
            is_lower_case: sentence.do_lower_case,
            max_tokens: sentence.max_seq_length.unwrap_or(n_positions).min(n_positions),
        })
    }
}

/// Sentence-transformers names each way by a switch, and since its version 5 also by a word.
fn pooling(path: &Path) -> Result<Pooling, EmbedError> {
    let Some(switches) = json_if_there::<serde_json::Map<String, serde_json::Value>>(path)? else {
        return Ok(Pooling::Mean);
    };
    if let Some(mode) = switches.get("pooling_mode").and_then(|mode| mode.as_str()) {
        return named_pooling(path, &[mode]);
    }
    let is_on = |(_, value): &(&String, &serde_json::Value)| **value == true;
    let modes = switches.iter().filter(is_on).filter_map(|(name, _)| {
        name.strip_prefix("pooling_mode_")?
            .strip_suffix("_tokens")
            .or(name.strip_prefix("pooling_mode_"))
    });
    named_pooling(path, &modes.collect::<Vec<_>>())
}

fn named_pooling(path: &Path, modes: &[&str]) -> Result<Pooling, EmbedError> {
    match modes {
        ["mean"] => Ok(Pooling::Mean),
        ["cls" | "cls_token"] => Ok(Pooling::First),
        other => Err(EmbedError::Field {
            path: path.to_owned(),
            field: "pooling_mode",
            problem: format!("{other:?} cannot be run; only mean or cls"),
        }),
    }
}

fn json<'a, T: Deserialize<'a>>(path: &Path, bytes: &'a [u8]) -> Result<T, EmbedError> {
    serde_json::from_slice(bytes)
        .map_err(|source| EmbedError::Json { path: PathBuf::from(path), source })
}

fn json_if_there<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<Option<T>, EmbedError> {
    read_if_there(path)?.map(|(path, bytes)| json(&path, &bytes)).transpose()
}
