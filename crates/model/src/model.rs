//! A model: configuration, weights, tokenizer and stop tokens, opened together.

use std::path::Path;

use serde::Deserialize;

use crate::checkpoint::{self, Checkpoint};
use crate::config::Config;
use crate::error::ModelError;
use crate::rope::Rope;
use crate::tokenizer::{Control, Tokenizer};
use crate::weights::Weights;

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const GENERATION: &str = "generation_config.json";

/// A model that can be run: never changed after it was opened, so threads share it.
#[derive(Debug)]
pub struct Model {
    name: String,
    config: Config,
    weights: Weights,
    rope: Rope,
    tokenizer: Tokenizer,
    stop_tokens: Vec<u32>,
}

/// The files of a checkpoint that is part of the program.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedFiles {
    /// `config.json`
    pub config: &'static [u8],
    /// `tokenizer.json`
    pub tokenizer: &'static [u8],
    /// `generation_config.json`
    pub generation: &'static [u8],
    /// `model.safetensors`
    pub weights: &'static [u8],
}

#[derive(Deserialize)]
struct Generation {
    eos_token_id: Option<OneOrMany>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(u32),
    Many(Vec<u32>),
}

impl Model {
    /// Opens a checkpoint in the published Hugging Face layout. Weights are mapped, not read.
    ///
    /// # Errors
    /// [`ModelError`] naming the file, and the tensor where one is concerned.
    pub fn open(dir: &Path) -> Result<Model, ModelError> {
        let config_path = dir.join(CONFIG);
        let config = Config::from_json(&checkpoint::read(&config_path)?, &config_path)?;
        let tokenizer_path = dir.join(TOKENIZER);
        let tokenizer =
            read_tokenizer(&tokenizer_path, &checkpoint::read(&tokenizer_path)?, &config)?;
        let generation_path = dir.join(GENERATION);
        let generation = match generation_path.is_file() {
            true => Some(checkpoint::read(&generation_path)?),
            false => None,
        };
        let stop_tokens = read_stop_tokens(&generation_path, generation.as_deref(), &tokenizer)?;
        let weights = Weights::new(Checkpoint::open(dir)?, &config)?;
        let name = dir
            .file_name()
            .map_or_else(|| dir.display().to_string(), |name| name.to_string_lossy().into());
        Ok(Model::new(name, config, weights, tokenizer, stop_tokens))
    }

    /// Opens a checkpoint that is part of the program.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn from_embedded(name: &str, files: EmbeddedFiles) -> Result<Model, ModelError> {
        let path = |file: &str| Path::new(name).join(file);
        let config = Config::from_json(files.config, &path(CONFIG))?;
        let tokenizer = read_tokenizer(&path(TOKENIZER), files.tokenizer, &config)?;
        let stop_tokens = read_stop_tokens(&path(GENERATION), Some(files.generation), &tokenizer)?;
        let weights = Weights::new(Checkpoint::from_static(name, files.weights)?, &config)?;
        Ok(Model::new(name.to_owned(), config, weights, tokenizer, stop_tokens))
    }

    fn new(
        name: String,
        config: Config,
        weights: Weights,
        tokenizer: Tokenizer,
        stop_tokens: Vec<u32>,
    ) -> Model {
        let rope = Rope::new(&config.rope, config.head_dim);
        Model { name, config, weights, rope, tokenizer, stop_tokens }
    }

    /// The folder's name, or `builtin`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The network's numbers.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The network's tensors.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The rotary table.
    pub fn rope(&self) -> &Rope {
        &self.rope
    }

    /// The vocabulary.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Tokens that end a generation.
    pub fn stop_tokens(&self) -> &[u32] {
        &self.stop_tokens
    }
}

fn read_tokenizer(path: &Path, bytes: &[u8], config: &Config) -> Result<Tokenizer, ModelError> {
    let tokenizer = Tokenizer::from_json(bytes)
        .map_err(|source| ModelError::Tokenizer { path: path.to_owned(), source })?;
    let (n_tokens, vocab_size) = (tokenizer.vocab_size(), config.vocab_size);
    if n_tokens > vocab_size {
        return Err(ModelError::VocabSize { path: path.to_owned(), n_tokens, vocab_size });
    }
    Ok(tokenizer)
}

/// The tokens of `generation_config.json` and harmony's own: early publications forgot one of them.
fn read_stop_tokens(
    path: &Path,
    text: Option<&[u8]>,
    tokenizer: &Tokenizer,
) -> Result<Vec<u32>, ModelError> {
    let mut stop = [Control::Return, Control::EndOfText, Control::Call]
        .map(|control| tokenizer.control(control))
        .to_vec();
    let Some(text) = text else { return Ok(stop) };
    let file: Generation = serde_json::from_slice(text)
        .map_err(|source| ModelError::Json { path: path.to_owned(), source })?;
    match file.eos_token_id {
        Some(OneOrMany::One(token)) => stop.push(token),
        Some(OneOrMany::Many(tokens)) => stop.extend(tokens),
        None => {}
    }
    stop.sort_unstable();
    stop.dedup();
    Ok(stop)
}
