//! Sentence embeddings: any encoder of the BERT family, from a directory as Hugging Face publishes it.
//!
//! `config.json`, `tokenizer.json` or `vocab.txt`, and `model.safetensors` must be there; what sentence-transformers
//! adds (`modules.json`, `1_Pooling/config.json`, `sentence_bert_config.json`) is heeded where it is. Computed by
//! candle on the CPU in float32. Read on in `forward.rs`.

mod cached;
mod config;
mod error;
mod forward;
mod ops;
mod tokens;

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, IndexOp, Tensor};
use candle_nn::VarBuilder;
use policy::hex;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use sha2::{Digest, Sha256};

use crate::encoder::{Encoder, Windows};
use crate::error::CascadeError;
use config::{Config, Pooling, Recipe};
use forward::Bert;
use tokens::Tokens;

pub use cached::Cached;
pub use error::EmbedError;

/// Most tokens in a batch, all windows together.
const BATCH_TOKENS: usize = 512;

/// An encoder of the BERT family.
pub struct SentenceEncoder {
    identity: String,
    recipe: Recipe,
    tokens: Tokens,
    bert: Bert,
    /// `None` is rayon's own threads, as many as cores.
    threads: Option<ThreadPool>,
}

/// Windows of the same length that are computed together.
struct Batch {
    /// The text and the window of each.
    places: Vec<(usize, usize)>,
    ids: Vec<u32>,
}

impl SentenceEncoder {
    /// Reads a directory.
    ///
    /// # Errors
    /// [`EmbedError`] names the file and what is wrong with it.
    pub fn open(directory: &Path) -> Result<SentenceEncoder, EmbedError> {
        let mut digest = Sha256::new();
        let config_path = directory.join("config.json");
        let config_bytes = read(&config_path)?;
        let config = Config::parse(&config_path, &config_bytes)?;
        let recipe = Recipe::read(directory, &config)?;
        let tokens = Tokens::read(directory, &config, &recipe, &mut digest)?;
        let path = directory.join("model.safetensors");
        let weights = read(&path)?;
        digest.update(&config_bytes);
        digest.update(&weights);
        digest.update(format!("{recipe:?}"));
        let failed = |source| EmbedError::Weights { path: path.clone(), source: Box::new(source) };
        let weights = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu);
        let bert = Bert::new(&config, weights.map_err(failed)?).map_err(failed)?;
        let identity = format!("embedding {} {}", config.family, hex(&digest.finalize()[..8]));
        Ok(SentenceEncoder { identity, recipe, tokens, bert, threads: None })
    }

    /// The same computing on this many threads; by default there are as many as cores.
    ///
    /// # Errors
    /// [`EmbedError::Threads`] if the system has none.
    pub fn on_threads(self, n_threads: usize) -> Result<SentenceEncoder, EmbedError> {
        let pool = ThreadPoolBuilder::new().num_threads(n_threads).build();
        let pool = pool.map_err(|source| EmbedError::Threads { source: Box::new(source) })?;
        Ok(SentenceEncoder { threads: Some(pool), ..self })
    }

    /// One vector for each window of a batch.
    fn compute(&self, batch: &Batch) -> Result<Vec<Vec<f32>>, candle_core::Error> {
        let n_windows = batch.places.len();
        let shape = (n_windows, batch.ids.len() / n_windows);
        let hidden = self.bert.forward(&Tensor::from_slice(&batch.ids, shape, &Device::Cpu)?)?;
        let pooled = match self.recipe.pooling {
            Pooling::Mean => hidden.mean(1)?,
            Pooling::First => hidden.i((.., 0))?,
        };
        let mut vectors: Vec<Vec<f32>> = pooled.to_vec2()?;
        if self.recipe.is_unit_length {
            vectors.iter_mut().for_each(|vector| to_unit_length(vector));
        }
        Ok(vectors)
    }

    /// All windows in batches, no padding: a window's numbers are the same whatever stands beside it.
    fn batches(windows: &[Option<Vec<Vec<u32>>>]) -> Vec<Batch> {
        let mut all: Vec<(usize, usize, &Vec<u32>)> = Vec::new();
        for (text, windows) in windows.iter().enumerate() {
            let windows = windows.iter().flatten().enumerate();
            all.extend(windows.map(|(window, ids)| (text, window, ids)));
        }
        all.sort_by_key(|(text, window, ids)| (ids.len(), *text, *window));
        let mut batches = Vec::new();
        for same in all.chunk_by(|a, b| a.2.len() == b.2.len()) {
            for part in same.chunks((BATCH_TOKENS / same[0].2.len().max(1)).max(1)) {
                batches.push(Batch {
                    places: part.iter().map(|(text, window, _)| (*text, *window)).collect(),
                    ids: part.iter().flat_map(|(.., ids)| ids.iter().copied()).collect(),
                });
            }
        }
        batches
    }
}

impl Encoder for SentenceEncoder {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn n_dims(&self) -> usize {
        self.bert.n_dims()
    }

    fn encode(&self, texts: &[&str]) -> Result<Vec<Windows>, CascadeError> {
        match &self.threads {
            Some(pool) => pool.install(|| self.encode_here(texts)),
            None => self.encode_here(texts),
        }
    }
}

impl SentenceEncoder {
    fn encode_here(&self, texts: &[&str]) -> Result<Vec<Windows>, CascadeError> {
        let windows: Result<Vec<_>, _> =
            texts.par_iter().map(|text| self.tokens.windows(text)).collect();
        let windows = windows.map_err(CascadeError::Encode)?;
        let batches = SentenceEncoder::batches(&windows);
        let computed: Result<Vec<_>, _> =
            batches.par_iter().map(|batch| Ok((batch, self.compute(batch)?))).collect();
        let computed =
            computed.map_err(|error: candle_core::Error| CascadeError::Encode(Box::new(error)))?;
        let count = |windows: &Option<Vec<Vec<u32>>>| windows.as_ref().map_or(0, Vec::len);
        let mut encoded: Vec<Windows> =
            windows.iter().map(|windows| vec![Vec::new(); count(windows)]).collect();
        for (batch, vectors) in computed {
            for (&(text, window), vector) in batch.places.iter().zip(vectors) {
                encoded[text][window] = vector;
            }
        }
        Ok(encoded)
    }
}

fn to_unit_length(vector: &mut [f32]) {
    let length = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    // As sentence-transformers does (torch's `normalize`).
    let length = length.max(1e-12);
    vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
}

fn read(path: &Path) -> Result<Vec<u8>, EmbedError> {
    fs::read(path).map_err(|source| EmbedError::Unreadable { path: path.to_owned(), source })
}

/// A file that need not be there.
fn read_if_there(path: &Path) -> Result<Option<(PathBuf, Vec<u8>)>, EmbedError> {
    match read(path) {
        Ok(bytes) => Ok(Some((path.to_owned(), bytes))),
        Err(EmbedError::Unreadable { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
