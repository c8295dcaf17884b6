//! A model: configuration, weights, tokenizer and stop tokens, opened together.

use std::path::{Component, Path};
use std::sync::OnceLock;

use kernels::Pool;
use sha2::{Digest, Sha256};

use crate::checkpoint::fingerprint::hex;
use crate::checkpoint::{self, Checkpoint};
use crate::config::{self, Config};
use crate::error::ModelError;
use crate::prepared::Preparation;
use crate::rope::Rope;
use crate::shape::{self, Shape};
use crate::tokenizer::{Control, Tokenizer};
use crate::weights::Weights;

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const GENERATION: &str = "generation_config.json";
const HARMONY_STOPS: [Control; 3] = [Control::Return, Control::Call, Control::EndOfText];

/// A model that can be run: never changed after it was opened, so threads share it.
#[derive(Debug)]
pub struct Model {
    name: String,
    config: Config,
    weights: Weights,
    rope: Rope,
    /// `None` is the built-in `o200k_harmony`.
    tokenizer: Option<Tokenizer>,
    stop_tokens: Vec<u32>,
    /// Hash of the small files, from which the fingerprint goes on.
    settings: Sha256,
    fingerprint: OnceLock<String>,
}

/// The small files of a checkpoint, where they come from and what they say.
struct Settings<'a> {
    /// Folder, or name of what is part of the program; for messages.
    root: &'a Path,
    config: &'a [u8],
    tokenizer: &'a [u8],
    /// May be missing.
    generation: Option<&'a [u8]>,
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

impl Model {
    /// Opens a checkpoint in the published Hugging Face layout, preparing it in memory with one thread.
    ///
    /// # Errors
    /// As [`Model::open_with`].
    pub fn open(dir: &Path) -> Result<Model, ModelError> {
        Model::open_with(dir, &Preparation::in_memory(&Pool::new(1)))
    }

    /// Opens a checkpoint in the published Hugging Face layout. Dense weights are mapped, not read; packed experts are
    /// looked through for scales that are "not a number" when they are prepared.
    ///
    /// # Errors
    /// [`ModelError`] naming the file, and the tensor where one is concerned.
    pub fn open_with(dir: &Path, preparation: &Preparation<'_>) -> Result<Model, ModelError> {
        let config = checkpoint::read(&dir.join(CONFIG))?;
        let tokenizer = checkpoint::read(&dir.join(TOKENIZER))?;
        let generation = dir.join(GENERATION);
        let generation = generation.is_file().then(|| checkpoint::read(&generation)).transpose()?;
        let settings = Settings {
            root: dir,
            config: &config,
            tokenizer: &tokenizer,
            generation: generation.as_deref(),
        };
        Model::load(name_of(dir), settings, || Checkpoint::open(dir), preparation)
    }

    /// Opens a checkpoint that is part of the program.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn from_embedded(name: &str, files: EmbeddedFiles) -> Result<Model, ModelError> {
        let settings = Settings {
            root: Path::new(name),
            config: files.config,
            tokenizer: files.tokenizer,
            generation: Some(files.generation),
        };
        let checkpoint = || Checkpoint::from_static(name, files.weights);
        let pool = Pool::new(1);
        Model::load(name.to_owned(), settings, checkpoint, &Preparation::in_memory(&pool))
    }

    /// Makes a model of random weights in memory, the same for the same seed, with the vocabulary of
    /// gpt-oss: for measuring, not for judging.
    ///
    /// # Errors
    /// [`ModelError::Read`] when the system does not give the memory.
    pub fn random(shape: Shape, seed: u64, n_threads: usize) -> Result<Model, ModelError> {
        let name = format!("random {shape}");
        let (json, root) = (shape::config(shape), Path::new(&name));
        let config = Config::from_json(&json, &root.join(CONFIG))?;
        let checkpoint = Checkpoint::from_image(&name, shape::image(shape, seed, n_threads)?)?;
        let settings = Settings { root, config: &json, tokenizer: &[], generation: None };
        let tokenizer = Tokenizer::o200k_harmony();
        let model = Model {
            stop_tokens: settings.stop_tokens(&config, tokenizer)?,
            weights: Weights::new(checkpoint, &config)?,
            rope: Rope::new(&config.rope, config.head_dim),
            tokenizer: None,
            settings: settings.hash(),
            fingerprint: OnceLock::new(),
            name,
            config,
        };
        // Preparing takes apart what it is computed from.
        model.fingerprint();
        model.prepared(&Preparation::in_memory(&Pool::new(n_threads)))
    }

    fn load(
        name: String,
        settings: Settings<'_>,
        checkpoint: impl FnOnce() -> Result<Checkpoint, ModelError>,
        preparation: &Preparation<'_>,
    ) -> Result<Model, ModelError> {
        let config = Config::from_json(settings.config, &settings.root.join(CONFIG))?;
        let tokenizer = Some(settings.tokenizer(&config)?);
        let stop_tokens =
            settings.stop_tokens(&config, tokenizer.as_ref().expect("it was just read"))?;
        let weights = Weights::new(checkpoint()?, &config)?;
        let rope = Rope::new(&config.rope, config.head_dim);
        let (settings, fingerprint) = (settings.hash(), OnceLock::new());
        Model { name, config, weights, rope, tokenizer, stop_tokens, settings, fingerprint }
            .prepared(preparation)
    }

    fn prepared(mut self, preparation: &Preparation<'_>) -> Result<Model, ModelError> {
        self.weights.tile_experts(&self.settings, preparation)?;
        // A file that was found remembers it, so that no page of the checkpoint need be read for it.
        if let Some(fingerprint) = self.weights.remembered_fingerprint() {
            self.fingerprint = fingerprint.to_owned().into();
        }
        Ok(self)
    }

    /// The same model with the matrices of attention and the head as 8-bit integers: it reads half their bytes, and is
    /// another model by its fingerprint.
    ///
    /// # Errors
    /// [`ModelError::Int8`] when its matrices have inputs that do not come in groups of 32.
    pub fn with_int8_dense(mut self, preparation: &Preparation<'_>) -> Result<Model, ModelError> {
        let fingerprint = Sha256::digest(format!("{} dense int8", self.fingerprint()));
        self.weights.make_dense_int8(&self.settings, preparation)?;
        self.fingerprint = hex(&fingerprint).into();
        Ok(self)
    }

    /// `ORG/NAME` of a download, `builtin`, or the folder's name.
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
        self.tokenizer.as_ref().unwrap_or_else(|| Tokenizer::o200k_harmony())
    }

    /// Tokens that end a generation, ascending: those of `generation_config.json` and `config.json`,
    /// and always harmony's `<|return|>`, `<|call|>` and `<|endoftext|>`.
    pub fn stop_tokens(&self) -> &[u32] {
        &self.stop_tokens
    }

    /// A name for these weights and settings, 64 hex digits; computed when first asked for.
    ///
    /// It is the SHA-256 of the settings and tokenizer files, of every tensor's name, format and
    /// shape, and of a sample of every tensor: all of it up to 64 KiB, otherwise sixteen pages of
    /// 4 KiB at even distances. So 65 GB are named without being read. Two trainings do not share a
    /// name, since training moves every tensor; it is no proof against someone who changes single
    /// bytes between the pages.
    pub fn fingerprint(&self) -> &str {
        self.fingerprint.get_or_init(|| self.weights.checkpoint().fingerprint(&self.settings))
    }
}

impl Settings<'_> {
    fn tokenizer(&self, config: &Config) -> Result<Tokenizer, ModelError> {
        let path = self.root.join(TOKENIZER);
        let tokenizer = match Tokenizer::from_json(self.tokenizer) {
            Ok(tokenizer) => tokenizer,
            Err(source) => return Err(ModelError::Tokenizer { path, source }),
        };
        let (n_tokens, vocab_size) = (tokenizer.vocab_size(), config.vocab_size);
        if n_tokens > vocab_size {
            return Err(ModelError::VocabSize { path, n_tokens, vocab_size });
        }
        Ok(tokenizer)
    }

    /// What the files name, and harmony's own: early publications forgot one of them.
    fn stop_tokens(&self, config: &Config, tokenizer: &Tokenizer) -> Result<Vec<u32>, ModelError> {
        let mut tokens = config.eos_tokens.clone();
        if let Some(json) = self.generation {
            let path = self.root.join(GENERATION);
            tokens.extend(config::stop_tokens(json, &path, config.vocab_size)?);
        }
        tokens.extend(HARMONY_STOPS.map(|control| tokenizer.control(control)));
        tokens.sort_unstable();
        tokens.dedup();
        Ok(tokens)
    }

    fn hash(&self) -> Sha256 {
        let mut hash = Sha256::new();
        for file in [self.config, self.tokenizer, self.generation.unwrap_or_default()] {
            hash.update(Sha256::digest(file));
        }
        hash
    }
}

/// `ORG/NAME` for a folder of the hub's cache (`models--ORG--NAME/snapshots/REVISION`), otherwise the
/// folder's own name.
fn name_of(dir: &Path) -> String {
    let whole = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
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
    parts.last().map_or_else(|| dir.display().to_string(), ToString::to_string)
}
