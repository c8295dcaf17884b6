//! The encoder that a filter reads its vectors from: found again where the training found it, or where a flag says.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use cascade::embed::{Cached, SentenceEncoder};
use cascade::{CascadeError, Encoder, Filter};

use crate::hub;
use crate::output::hinted;

/// Bytes of vectors that are remembered within a run.
const MEMORY: usize = 64 << 20;

/// Flag of commands that read texts with a filter that there is already.
#[derive(Debug, clap::Args)]
pub(super) struct EncoderArgs {
    /// Where the filter's sentence encoder is now, if not where the training found it: its directory, or its name in
    /// the cache of Hugging Face
    #[arg(long, value_name = "DIR|NAME")]
    embed: Option<String>,
}

impl EncoderArgs {
    /// What the filter of a file reads vectors with; `None` if it reads none.
    pub(super) fn open(
        &self,
        file: &Path,
        filter: &Filter,
        n_threads: Option<usize>,
    ) -> Result<Option<Arc<dyn Encoder>>> {
        if self.embed.is_some() && filter.about.reads.dense.is_none() {
            let error = anyhow!("{}: the filter reads no sentence embeddings", file.display());
            return Err(hinted(error, "leave --embed out"));
        }
        encoder_of(file, filter, self.embed.as_deref(), n_threads)
    }
}

/// What the filter of a file reads vectors with, from `embed` if it is given; `None` if it reads none.
pub(crate) fn encoder_of(
    file: &Path,
    filter: &Filter,
    embed: Option<&str>,
    n_threads: Option<usize>,
) -> Result<Option<Arc<dyn Encoder>>> {
    let Some(dense) = &filter.about.reads.dense else { return Ok(None) };
    let where_it_is = "say where the encoder of the training is: --embed DIR, or embed = \"DIR\" in a file of filters";
    let advised =
        |error: anyhow::Error| hinted(error.context(file.display().to_string()), where_it_is);
    let place = embed.or(dense.place.as_deref());
    let place = place.ok_or_else(|| {
        advised(anyhow!(CascadeError::EncoderMissing { identity: dense.identity.clone() }))
    })?;
    let folder = folder(place).map_err(advised)?;
    let encoder = open(&folder, n_threads).map_err(advised)?;
    filter.scorer(Some(&*encoder)).map_err(|error| advised(anyhow!(error)))?;
    Ok(Some(encoder))
}

/// The encoder for a training, and the place to remember.
pub(super) fn chosen(embed: &str) -> Result<(Arc<dyn Encoder>, String)> {
    let hint = "an encoder's directory has config.json, tokenizer.json or vocab.txt, and model.safetensors";
    let folder = folder(embed)?;
    let encoder = open(&folder, None).map_err(|error| hinted(error, hint))?;
    // A name stays a name; a directory is found again from anywhere.
    let place = if Path::new(embed).is_dir() {
        let path = folder.canonicalize().with_context(|| folder.display().to_string())?;
        path.to_str().context("the encoder's path is not UTF-8")?.to_owned()
    } else {
        embed.to_owned()
    };
    Ok((encoder, place))
}

/// A directory, or a model in the cache.
fn folder(place: &str) -> Result<PathBuf> {
    let path = Path::new(place);
    if path.is_dir() {
        return Ok(path.to_owned());
    }
    if path.is_absolute() || place.starts_with(['.', '~']) || place.matches('/').count() != 1 {
        bail!("{place}: no such directory");
    }
    hub::resolve(place)
}

fn open(folder: &Path, n_threads: Option<usize>) -> Result<Arc<dyn Encoder>> {
    let encoder = SentenceEncoder::open(folder)?;
    let encoder = match n_threads {
        Some(n_threads) => encoder.on_threads(n_threads)?,
        None => encoder,
    };
    Ok(Arc::new(Cached::new(encoder, MEMORY)))
}
