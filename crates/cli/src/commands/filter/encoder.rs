//! The encoder that a filter reads its vectors from: a sentence encoder found again where the training found it or
//! where a flag says, or the judging model itself as a probe.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use cascade::embed::{Cached, SentenceEncoder};
use cascade::{CascadeError, Encoder, Filter};
use policy::Policy;
use reasoner::LocalJudge;

use super::probe::Probe;
use crate::commands::files::read_policy;
use crate::commands::judging::ModelArgs;
use crate::hub;
use crate::output::hinted;

/// Bytes of vectors that are remembered within a run.
const MEMORY: usize = 64 << 20;

/// Flags of commands that only score texts with a filter that there is already.
#[derive(Debug, clap::Args)]
pub(super) struct EncoderArgs {
    #[command(flatten)]
    embed: EmbedArgs,
    /// Of a probe: the policy that it was trained under
    #[arg(long, short, value_name = "FILE")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
}

/// Where a sentence encoder is.
#[derive(Debug, clap::Args)]
pub(super) struct EmbedArgs {
    /// Where the filter's sentence encoder is now, if not where the training found it: its directory, or its name in
    /// the cache of Hugging Face
    #[arg(long, value_name = "DIR|NAME")]
    embed: Option<String>,
}

/// What a filter's vectors may come from.
pub(crate) struct VectorSource<'a> {
    /// A sentence encoder, if not where the training found it.
    pub(crate) embed: Option<&'a str>,
    /// Of a probe: the policy.
    pub(crate) policy: Option<&'a Policy>,
    /// Of a probe: opens the model.
    pub(crate) model: &'a dyn Fn() -> Result<Arc<LocalJudge>>,
    /// Of a sentence encoder: threads to compute with.
    pub(crate) n_threads: Option<usize>,
}

impl EncoderArgs {
    /// Threads asked for.
    pub(super) fn n_threads(&self) -> Option<usize> {
        self.model.n_threads()
    }

    /// What the filter of a file reads vectors with; `None` if it reads none.
    pub(super) fn open(&self, file: &Path, filter: &Filter) -> Result<Option<Arc<dyn Encoder>>> {
        let policy = self.policy.as_deref().map(read_policy).transpose()?;
        self.embed.open(file, filter, policy.as_ref().map(|(_, policy)| policy), &self.model)
    }
}

impl EmbedArgs {
    /// What the filter of a file reads vectors with; `None` if it reads none.
    pub(super) fn open(
        &self,
        file: &Path,
        filter: &Filter,
        policy: Option<&Policy>,
        model: &ModelArgs,
    ) -> Result<Option<Arc<dyn Encoder>>> {
        let dense = filter.about.reads.dense.as_ref();
        if self.embed.is_some() && dense.is_none_or(|dense| Probe::is_name(&dense.identity)) {
            let error = anyhow!("{}: the filter reads no sentence embeddings", file.display());
            return Err(hinted(error, "leave --embed out"));
        }
        let source = VectorSource {
            embed: self.embed.as_deref(),
            policy,
            model: &|| model.open_local(),
            n_threads: model.n_threads(),
        };
        encoder_of(file, filter, &source)
    }
}

/// What the filter of a file reads vectors with; `None` if it reads none.
pub(crate) fn encoder_of(
    file: &Path,
    filter: &Filter,
    source: &VectorSource<'_>,
) -> Result<Option<Arc<dyn Encoder>>> {
    let Some(dense) = &filter.about.reads.dense else { return Ok(None) };
    if Probe::is_name(&dense.identity) {
        return probe_of(file, filter, source).map(Some);
    }
    let where_it_is = "say where the encoder of the training is: --embed DIR, or embed = \"DIR\" in a file of filters";
    let advised =
        |error: anyhow::Error| hinted(error.context(file.display().to_string()), where_it_is);
    let place = source.embed.or(dense.place.as_deref());
    let place = place.ok_or_else(|| {
        advised(anyhow!(CascadeError::EncoderMissing { identity: dense.identity.clone() }))
    })?;
    let folder = folder(place).map_err(advised)?;
    let encoder = open(&folder, source.n_threads).map_err(advised)?;
    filter.scorer(Some(&*encoder)).map_err(|error| advised(anyhow!(error)))?;
    Ok(Some(encoder))
}

fn probe_of(file: &Path, filter: &Filter, source: &VectorSource<'_>) -> Result<Arc<dyn Encoder>> {
    let Some(policy) = source.policy else {
        let error = anyhow!("{}: the filter is a probe, which reads the policy", file.display());
        return Err(hinted(error, "name the policy with --policy"));
    };
    let encoder = probe((source.model)()?, policy);
    filter.scorer(Some(&*encoder)).map_err(|error| {
        let error = anyhow!(error).context(file.display().to_string());
        hinted(
            error,
            "a probe knows one model and one version of the policy: name those of its training with --model and \
             --policy, or train it anew",
        )
    })?;
    Ok(encoder)
}

/// The judging model as an encoder.
pub(super) fn probe(model: Arc<LocalJudge>, policy: &Policy) -> Arc<dyn Encoder> {
    Arc::new(Cached::new(Probe::new(model, policy.clone()), MEMORY))
}

/// The sentence encoder for a training, and the place to remember.
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
