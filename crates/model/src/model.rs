//! A model as the floors above hold it: configuration, weights, tokenizer, stop tokens.

use std::path::{Component, Path};
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use crate::checkpoint::{Checkpoint, Source, Tensor};
use crate::config::{self, Config};
use crate::error::ModelError;
use crate::tokenizer::{Control, Tokenizer};
use crate::weights::Weights;

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const GENERATION: &str = "generation_config.json";

/// A loaded model: immutable, made to be shared.
pub struct Model {
    name: String,
    config: Config,
    tokenizer: Tokenizer,
    stop_tokens: Vec<u32>,
    weights: Weights,
    checkpoint: Checkpoint,
    /// Hash of the small files, which the fingerprint goes on from.
    settings_hash: Sha256,
    fingerprint: OnceLock<String>,
}

impl Model {
    /// Opens a folder in the Hugging Face layout: `config.json`, `tokenizer.json`, the safetensors
    /// files of `model.safetensors.index.json` or `model.safetensors`, and `generation_config.json`
    /// if it is there. Weights are mapped, not read, but for the scales of packed experts, which are
    /// looked through for "not a number".
    ///
    /// # Errors
    /// What is wrong with which file and tensor: see [`ModelError`].
    pub fn open(dir: &Path) -> Result<Model, ModelError> {
        Model::load(name_of(dir), Source::Dir(dir))
    }

    /// A model whose files, by name, are inside the program. Nothing is copied but small vectors.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn from_embedded(
        name: &str,
        files: &[(&'static str, &'static [u8])],
    ) -> Result<Model, ModelError> {
        Model::load(name.to_owned(), Source::Embedded(files))
    }

    fn load(name: String, source: Source<'_>) -> Result<Model, ModelError> {
        let config_json = source.require(CONFIG)?;
        let config = Config::from_json(&source.path(CONFIG), &config_json)?;
        let checkpoint = Checkpoint::open(source)?;
        let weights = Weights::load(&checkpoint, &config)?;
        let tokenizer_json = source.require(TOKENIZER)?;
        let tokenizer = Tokenizer::from_json(&tokenizer_json).map_err(|error| {
            ModelError::Tokenizer { path: source.path(TOKENIZER), source: error }
        })?;
        if tokenizer.vocab_size() > config.vocab_size {
            return Err(ModelError::Vocabulary {
                path: source.path(TOKENIZER),
                n_tokens: tokenizer.vocab_size(),
                vocab_size: config.vocab_size,
            });
        }
        let generation_json = source.read(GENERATION)?.unwrap_or_default();
        let stop_tokens = stop_tokens(source, &config, &tokenizer, &generation_json)?;
        let mut settings_hash = Sha256::new();
        for json in [&config_json, &tokenizer_json, &generation_json] {
            settings_hash.update(Sha256::digest(json));
        }
        let fingerprint = OnceLock::new();
        Ok(Model {
            name,
            config,
            tokenizer,
            stop_tokens,
            weights,
            checkpoint,
            settings_hash,
            fingerprint,
        })
    }

    /// What people call it: `ORG/NAME` of a download, otherwise the folder's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Shape and constants.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Text to tokens and back.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Tokens that end a generation, ascending: those of `generation_config.json` and `config.json`,
    /// and always harmony's `<|return|>`, `<|call|>` and `<|endoftext|>`.
    pub fn stop_tokens(&self) -> &[u32] {
        &self.stop_tokens
    }

    /// Bytes of all tensors as stored; so much memory the weights take once all have been used.
    pub fn weight_bytes(&self) -> u64 {
        self.checkpoint.tensors().map(|tensor| tensor.bytes.range.len() as u64).sum()
    }

    /// Values in all tensors; a packed byte counts as the two values it holds.
    pub fn n_parameters(&self) -> u64 {
        let count = |tensor: &Tensor| {
            let n: u64 = tensor.shape.iter().map(|&side| side as u64).product();
            if tensor.name.ends_with("_scales") {
                0
            } else if tensor.name.ends_with("_blocks") {
                2 * n
            } else {
                n
            }
        };
        self.checkpoint.tensors().map(count).sum()
    }

    /// A name for exactly these weights and settings: 64 hex digits, computed when first asked for.
    ///
    /// It is the SHA-256 of the settings and tokenizer files, of every tensor's name, format and
    /// shape, and of a sample of every tensor's bytes: all of them up to 64 KiB, otherwise sixteen
    /// pages of 4 KiB at even distances, the first and the last included. So a model of 65 GB is
    /// named without reading it. Two trainings never share a name, since training moves every
    /// tensor; but it is no proof against someone who changes single bytes between the pages.
    pub fn fingerprint(&self) -> &str {
        self.fingerprint.get_or_init(|| {
            let mut hash = self.settings_hash.clone();
            for tensor in self.checkpoint.tensors() {
                hash.update(format!("{}\n{}\n{:?}\n", tensor.name, tensor.dtype, tensor.shape));
                sample(tensor.bytes.as_slice(), |page| hash.update(page));
            }
            hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
        })
    }

    pub(crate) fn weights(&self) -> &Weights {
        &self.weights
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("name", &self.name).field("config", &self.config).finish()
    }
}

/// Shows `see` all of `bytes`, or pages of it where there are many.
fn sample(bytes: &[u8], mut see: impl FnMut(&[u8])) {
    const PAGE: usize = 4096;
    const N_PAGES: usize = 16;
    if bytes.len() <= N_PAGES * PAGE {
        return see(bytes);
    }
    for at in 0..N_PAGES {
        let start = (bytes.len() - PAGE) / (N_PAGES - 1) * at;
        see(&bytes[start..start + PAGE]);
    }
    see(&bytes[bytes.len() - PAGE..]);
}

fn stop_tokens(
    source: Source<'_>,
    config: &Config,
    tokenizer: &Tokenizer,
    generation_json: &[u8],
) -> Result<Vec<u32>, ModelError> {
    let mut tokens = config.eos_tokens.clone();
    if !generation_json.is_empty() {
        let path = source.path(GENERATION);
        tokens.extend(config::stop_tokens(&path, generation_json, config.vocab_size)?);
    }
    // The first published files did not list `<|call|>` yet.
    tokens
        .extend([Control::Return, Control::Call, Control::EndOfText].map(|c| tokenizer.control(c)));
    tokens.sort_unstable();
    tokens.dedup();
    Ok(tokens)
}

/// `ORG/NAME` for a folder of the hub's cache (`models--ORG--NAME/snapshots/REVISION`), otherwise
/// the folder's own name.
fn name_of(dir: &Path) -> String {
    let whole = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let parts: Vec<_> = whole
        .components()
        .filter_map(|part| match part {
            Component::Normal(part) => Some(part.to_string_lossy()),
            _ => None,
        })
        .collect();
    if let [.., repository, snapshots, _] = parts.as_slice()
        && snapshots == "snapshots"
        && let Some(name) = repository.strip_prefix("models--")
    {
        return name.replace("--", "/");
    }
    parts.last().map_or_else(|| dir.display().to_string(), |name| name.to_string())
}
