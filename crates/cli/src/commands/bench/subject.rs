//! Which network is measured, and the prompts that it is given.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use kernels::Pool;
use model::{Model, Preparation, Shape, memory};

use crate::commands::judging::{Purpose, WeightsArgs};
use crate::commands::{files, tokenizer};
use crate::hub;
use crate::output::hinted;

/// Flags that say what is measured.
#[derive(Debug, clap::Args)]
pub(super) struct Subject {
    /// Random weights of this shape, made in memory: 20b, 120b or tiny; or builtin, the model inside this program
    #[arg(long, value_name = "SHAPE", default_value = "builtin", value_parser = named)]
    shape: Named,
    /// A checkpoint instead: 20b, 120b or ORG/NAME in the cache, or a folder
    #[arg(long, value_name = "NAME|DIR", conflicts_with = "shape")]
    model: Option<PathBuf>,
    #[command(flatten)]
    weights: WeightsArgs,
}

#[derive(Clone, Copy, Debug)]
enum Named {
    Builtin,
    Random(Shape),
}

fn named(word: &str) -> Result<Named, String> {
    match word {
        "builtin" => Ok(Named::Builtin),
        word => Ok(Named::Random(word.parse().map_err(|error| format!("{error}, and builtin"))?)),
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.model, self.shape) {
            (Some(path), _) => write!(f, "{}", path.display()),
            (None, Named::Builtin) => f.write_str("builtin"),
            (None, Named::Random(shape)) => write!(f, "{shape}"),
        }
    }
}

/// The seed of all random weights.
const SEED: u64 = 1;
/// Memory that a run takes beside the weights: keys and values, rows of logits.
const BESIDE: u64 = 2 << 30;

impl Subject {
    /// Whether its weights are made for the run, so that a start of it is nobody's.
    pub(super) fn is_random(&self) -> bool {
        self.model.is_none() && matches!(self.shape, Named::Random(_))
    }

    pub(super) fn open(&self, purpose: Purpose) -> Result<Model> {
        let Purpose { exactness, n_threads, .. } = purpose;
        let open = |dir: &Path| self.weights.open(dir, purpose);
        let model = match (&self.model, self.shape) {
            (Some(path), _) if path.is_dir() => return open(path),
            (Some(path), _) => return open(&hub::resolve(&path.to_string_lossy())?),
            (None, Named::Builtin) => Model::builtin()?,
            (None, Named::Random(shape)) => {
                check_memory(shape)?;
                Model::random(shape, SEED, n_threads)?
            }
        };
        exactness.on(model, &Preparation::in_memory(&Pool::new(n_threads)))
    }
}

/// The system would end the program rather than refuse the memory.
fn check_memory(shape: Shape) -> Result<()> {
    let n_needed = shape.n_bytes() as u64 + if shape == Shape::Tiny { 0 } else { BESIDE };
    match memory::available() {
        Ok(n_free) if n_free < n_needed => Err(hinted(
            anyhow!(
                "random weights of the shape {shape} need {:.1} GB of memory, {:.1} GB are free",
                n_needed as f64 / 1e9,
                n_free as f64 / 1e9
            ),
            "--shape builtin and --shape tiny need next to none",
        )),
        _ => Ok(()),
    }
}

/// The tokens of prompts: the same prefix, then what differs.
pub(super) struct Prompts {
    pub(super) prefix: Vec<u32>,
    n_ordinary: u64,
}

impl Prompts {
    pub(super) fn random(model: &Model, n_prefix: usize) -> Prompts {
        let mut prompts = Prompts { prefix: Vec::new(), n_ordinary: n_ordinary(model) };
        prompts.prefix = prompts.noise(0, n_prefix);
        prompts
    }

    /// What the model reads before every content under a policy.
    pub(super) fn under_policy(model: &Model, path: &Path) -> Result<Prompts> {
        let (_, policy) = files::read_policy(path)?;
        let prefix = tokenizer::prefix(&policy, model.tokenizer());
        Ok(Prompts { prefix, n_ordinary: n_ordinary(model) })
    }

    /// The prefix and `n` tokens of its own for every `number`.
    pub(super) fn with_item(&self, number: u64, n: usize) -> Vec<u32> {
        let mut prompt = self.prefix.clone();
        prompt.extend(self.noise(number + 1, n));
        prompt
    }

    /// `n` ordinary tokens, the same for the same seed.
    pub(super) fn noise(&self, seed: u64, n: usize) -> Vec<u32> {
        let mut state = seed.wrapping_mul(2).wrapping_add(1);
        let mut next = || {
            // The constants of PCG's generator; its high bits are the good ones.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % self.n_ordinary
        };
        (0..n).map(|_| next() as u32).collect()
    }
}

/// Control tokens stand behind all others in every vocabulary.
fn n_ordinary(model: &Model) -> u64 {
    let controls = model::tokenizer::Control::ALL;
    let first = controls.into_iter().map(|control| model.tokenizer().control(control)).min();
    u64::from(first.unwrap_or(1)).max(1)
}
