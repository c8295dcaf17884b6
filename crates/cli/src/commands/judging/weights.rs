//! How a checkpoint is opened: where its prepared weights are kept, the word behind `--weights-cache`.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use kernels::Pool;
use model::{Model, Preparation, Preparing};

use super::exactness::Exactness;
use super::place::CachePlace;
use crate::output::{hinted, report_hint, report_note};

/// Smaller models are prepared in less than a second.
const WORTHWHILE: u64 = 1 << 30;

/// Where prepared weights are kept.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct WeightsCache {
    /// Keep weights that were made ready for this program's products in this folder; off makes them in memory at every
    /// start
    ///
    /// By default beside the checkpoint if it has 1 GB or more: the first start takes longer, later ones map the file.
    #[arg(long, value_name = "DIR|off", env = "SAFEGUARD_WEIGHTS_CACHE")]
    weights_cache: Option<CachePlace>,
}

impl WeightsCache {
    /// Opens a checkpoint's folder, as exactly as wanted.
    pub(crate) fn open(&self, dir: &Path, exactness: Exactness, n_threads: usize) -> Result<Model> {
        let (pool, kept) = (Pool::new(n_threads), self.dir(dir));
        let told = Told::default();
        let listener = |preparing: &Preparing| told.hear(preparing, kept.as_deref());
        let preparation = Preparation { pool: &pool, dir: kept.as_deref(), listener: &listener };
        let model = Model::open_with(dir, &preparation).map_err(|error| {
            hinted(
                error,
                "a checkpoint's folder has config.json, tokenizer.json and safetensors files",
            )
        })?;
        exactness.on(model, &preparation)
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
    /// Of the file that is being made.
    bar: RefCell<Option<ProgressBar>>,
    /// Whether they know that nothing is kept.
    not_kept: Cell<bool>,
}

impl Told {
    fn hear(&self, preparing: &Preparing, kept: Option<&Path>) {
        match preparing {
            &Preparing::Made { n_bytes, n_all } if n_all >= WORTHWHILE => {
                let bar = self.bar.take().unwrap_or_else(|| begin(n_all, kept));
                bar.set_position(n_bytes);
                if n_bytes == n_all {
                    bar.finish_and_clear();
                } else {
                    self.bar.replace(Some(bar));
                }
            }
            Preparing::Waiting => {
                report_note("another process makes these weights ready; this one waits for it");
            }
            Preparing::Made { .. } => {}
            // What one file cannot, the next one cannot either.
            Preparing::NotKept(problem) if !self.not_kept.replace(true) => {
                report_note(&format!("{problem}; they are made in memory"));
                report_hint(
                    "--weights-cache DIR names another folder, --weights-cache off does without",
                );
            }
            Preparing::NotKept(_) => {}
        }
    }
}

fn begin(n_all: u64, kept: Option<&Path>) -> ProgressBar {
    if let Some(dir) = kept {
        let gigabytes = n_all as f64 / 1e9;
        report_note(&format!(
            "weights are made ready for this machine once; {gigabytes:.1} GB are kept in {}",
            dir.display()
        ));
    }
    let bar = ProgressBar::new(n_all);
    bar.set_style(
        ProgressStyle::with_template("{bar:32} {bytes}/{total_bytes} of weights  {eta} left")
            .expect("the template is a constant"),
    );
    bar
}
