//! How a checkpoint is opened: where its prepared weights are kept and how they come into memory, the words behind
//! `--weights-cache` and `--weights`.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use kernels::Pool;
use model::{Loading, Model, Preparation, Preparing};

use super::exactness::Exactness;
use super::place::CachePlace;
use crate::output::{hinted, report_hint, report_note};

/// Smaller models are prepared in less than a second.
const WORTHWHILE: u64 = 1 << 30;

/// Memory that the system and a run take beside weights, keys and values.
const BESIDE: u64 = 1 << 30;

/// Where prepared weights are kept, and how they come into memory.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct WeightsArgs {
    /// Keep weights that were made ready for this program's products in this folder; off makes them in memory at every
    /// start
    ///
    /// By default beside the checkpoint if it has 1 GB or more: the first start takes longer, later ones map or load the file.
    #[arg(long, value_name = "DIR|off", env = "SAFEGUARD_WEIGHTS_CACHE")]
    weights_cache: Option<CachePlace>,
    /// How weights that are kept come into memory; where there is no room to load them, they are mapped
    #[arg(long, value_enum, default_value_t, env = "SAFEGUARD_WEIGHTS")]
    weights: WeightsMode,
}

/// How kept weights come into memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum WeightsMode {
    /// Loaded by `serve` if the map would come in small pages, which are slower; otherwise mapped
    #[default]
    Auto,
    /// The file is mapped: processes share it
    Map,
    /// The file is read into large pages of this process's own
    Load,
}

/// How long a model is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// For one run, of which the start is a part.
    Run,
    /// As long as requests may come.
    Service,
}

/// What a checkpoint is opened for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Purpose {
    pub(crate) lifetime: Lifetime,
    pub(crate) exactness: Exactness,
    pub(crate) n_threads: usize,
    /// Most bytes of keys and values.
    pub(crate) kv_bytes: usize,
}

impl WeightsArgs {
    /// Opens a checkpoint's folder, as exactly as wanted.
    pub(crate) fn open(&self, dir: &Path, purpose: Purpose) -> Result<Model> {
        let (pool, kept) = (Pool::new(purpose.n_threads), self.dir(dir));
        let told = Told::default();
        let listener = |preparing: &Preparing| told.hear(preparing, kept.as_deref());
        let loading = self.loading(purpose);
        let preparation =
            Preparation { pool: &pool, dir: kept.as_deref(), loading, listener: &listener };
        let model = Model::open_with(dir, &preparation).map_err(|error| {
            hinted(
                error,
                "a checkpoint's folder has config.json, tokenizer.json and safetensors files",
            )
        })?;
        purpose.exactness.on(model, &preparation)
    }

    fn loading(&self, purpose: Purpose) -> Loading {
        let spare = (purpose.kv_bytes as u64).saturating_add(BESIDE);
        match (self.weights, purpose.lifetime) {
            (WeightsMode::Load, _) => Loading::Always { spare },
            (WeightsMode::Auto, Lifetime::Service) => Loading::InLargePages { spare },
            (WeightsMode::Auto, Lifetime::Run) | (WeightsMode::Map, _) => Loading::Never,
        }
    }

    fn dir(&self, checkpoint: &Path) -> Option<PathBuf> {
        match &self.weights_cache {
            Some(CachePlace::Off) => None,
            Some(CachePlace::Folder(dir)) => Some(dir.clone()),
            None => (n_bytes(checkpoint) >= WORTHWHILE).then(|| checkpoint.to_owned()),
        }
    }
}

/// Bytes of a checkpoint's tensors.
fn n_bytes(checkpoint: &Path) -> u64 {
    let Ok(entries) = checkpoint.read_dir() else { return 0 };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "safetensors"))
        .filter_map(|path| Some(path.metadata().ok()?.len()))
        .sum()
}

/// What people were told of a preparation.
#[derive(Default)]
struct Told {
    /// Of the file that is being made or loaded.
    bar: RefCell<Option<ProgressBar>>,
    /// Whether they know that nothing is kept.
    not_kept: Cell<bool>,
    /// Whether they know that nothing is loaded.
    not_loaded: Cell<bool>,
}

impl Told {
    fn hear(&self, preparing: &Preparing, kept: Option<&Path>) {
        match preparing {
            &Preparing::Made { n_bytes, n_all } => self.show(n_bytes, n_all, &|| {
                if let (Some(dir), false) = (kept, self.not_kept.get()) {
                    let gigabytes = n_all as f64 / 1e9;
                    report_note(&format!(
                        "weights are made ready for this machine once; {gigabytes:.1} GB are kept in {}",
                        dir.display()
                    ));
                }
            }),
            &Preparing::Loaded { n_bytes, n_all } => self.show(n_bytes, n_all, &|| ()),
            Preparing::Waiting => {
                report_note("another process makes these weights ready; this one waits for it");
            }
            // What one file cannot, the next one cannot either.
            Preparing::NotKept(problem) => {
                if !self.not_kept.replace(true) {
                    report_note(&format!("{problem}; they are made in memory"));
                    report_hint(
                        "--weights-cache DIR names another folder, --weights-cache off does without",
                    );
                }
            }
            Preparing::NotLoaded(problem) => {
                // What was begun is not gone on with.
                self.bar.take().inspect(ProgressBar::finish_and_clear);
                if !self.not_loaded.replace(true) {
                    report_note(&format!("{problem}; they are mapped, which may be slower"));
                    report_hint("--weights map maps them without asking for memory");
                }
            }
        }
    }

    /// How far it is, where that takes a while; `begin` is called before the bar is first shown.
    fn show(&self, n_bytes: u64, n_all: u64, begin: &dyn Fn()) {
        if n_all < WORTHWHILE {
            return;
        }
        let bar = self.bar.take().unwrap_or_else(|| {
            begin();
            bar(n_all)
        });
        bar.set_position(n_bytes);
        if n_bytes == n_all {
            bar.finish_and_clear();
        } else {
            self.bar.replace(Some(bar));
        }
    }
}

fn bar(n_all: u64) -> ProgressBar {
    let bar = ProgressBar::new(n_all);
    bar.set_style(
        ProgressStyle::with_template("{bar:32} {bytes}/{total_bytes} of weights  {eta} left")
            .expect("the template is a constant"),
    );
    bar
}
