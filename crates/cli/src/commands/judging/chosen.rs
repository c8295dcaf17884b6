//! Which model judges: the word behind `--model`, and the judge that it means.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use cascade::VotedJudge;
use engine::{Engine, EngineSettings};
use kernels::Pool;
use model::{Model, Preparation};
use policy::Judge;
use reasoner::LocalJudge;

use super::exactness::Exactness;
use super::place::CachePlace;
use super::prefixes::prefix_cache;
use super::served::ServerArgs;
use super::weights::{Lifetime, Purpose, WeightsArgs};
use crate::hub;
use crate::output::{hinted, report_hint, report_note};

/// What stands behind `--model`.
#[derive(Clone, Debug)]
pub(super) enum ChosenModel {
    /// The small model inside this program.
    Builtin,
    /// A checkpoint's folder.
    Folder(PathBuf),
    /// A chat server.
    Url(String),
    /// A model of the hub, from the cache.
    Hub(String),
}

/// A judge that is ready.
pub(crate) struct OpenJudge {
    /// Judges.
    pub(crate) judge: Box<dyn Judge>,
    /// The same one, where the model runs in this process.
    pub(crate) local: Option<Arc<LocalJudge>>,
    /// What it may take, and one beside it as much again.
    pub(super) room: Room,
}

impl OpenJudge {
    /// What the model in this process is computed with, by label; nothing where a server does it.
    pub(crate) fn computes_with(&self) -> Vec<(&'static str, String)> {
        let Some(local) = &self.local else { return Vec::new() };
        let unit = local.engine().unit();
        vec![
            ("isa", unit.isa.to_string()),
            ("bf16_unit", unit.bf16_unit.to_owned()),
            ("arithmetic", unit.arithmetic.to_string()),
            ("dense", self.room.exactness.dense().to_owned()),
            ("weights", local.engine().model().weights().residence().to_string()),
        ]
    }
}

/// What a model in this process may take.
#[derive(Clone, Debug)]
pub(super) struct Room {
    /// How long it is there.
    pub(super) lifetime: Lifetime,
    /// `None`: as many as there are cores.
    pub(super) n_threads: Option<usize>,
    pub(super) exactness: Exactness,
    /// For keys and values.
    pub(super) kv_bytes: usize,
    /// Where prefixes are kept.
    pub(super) prefixes: Option<CachePlace>,
    /// Where prepared weights are kept, and how they come into memory.
    pub(super) weights: WeightsArgs,
}

impl FromStr for ChosenModel {
    type Err = Infallible;

    fn from_str(word: &str) -> Result<ChosenModel, Infallible> {
        Ok(match word {
            "builtin" => ChosenModel::Builtin,
            url if url.starts_with("http://") || url.starts_with("https://") => {
                ChosenModel::Url(url.to_owned())
            }
            path if Path::new(path).is_dir() => ChosenModel::Folder(path.into()),
            path if path.starts_with(['.', '/', '~']) => ChosenModel::Folder(path.into()),
            name => ChosenModel::Hub(name.to_owned()),
        })
    }
}

impl ChosenModel {
    /// What people call it: no path, and nothing of an address.
    pub(super) fn name(&self) -> String {
        match self {
            ChosenModel::Builtin => "builtin".to_owned(),
            ChosenModel::Hub(name) => name.clone(),
            ChosenModel::Folder(dir) => {
                dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
            }
            ChosenModel::Url(_) => "remote".to_owned(),
        }
    }

    /// Opens the model and starts its judge.
    pub(super) fn open(&self, room: Room, served: &ServerArgs) -> Result<OpenJudge> {
        if !matches!(self, ChosenModel::Url(_)) && served.is_given() {
            return Err(hinted(
                anyhow!("--served-model and --server are for a chat server"),
                "give its URL with --model",
            ));
        }
        let mut settings = EngineSettings::default();
        settings.n_threads = room.n_threads.unwrap_or(settings.n_threads);
        settings.kv_bytes = room.kv_bytes;
        settings.arithmetic = room.exactness.arithmetic();
        let purpose = Purpose {
            lifetime: room.lifetime,
            exactness: room.exactness,
            n_threads: settings.n_threads,
            kv_bytes: room.kv_bytes,
        };
        let open = |dir: &Path| room.weights.open(dir, purpose);
        let model = match self {
            ChosenModel::Builtin => {
                report_note(
                    "the built-in model judges: small, good for trying policies out and for tests, not for decisions",
                );
                report_hint("for decisions: `safeguard model pull 20b`, then --model 20b");
                let pool = Pool::new(settings.n_threads);
                room.exactness.on(Model::builtin()?, &Preparation::in_memory(&pool))?
            }
            ChosenModel::Folder(dir) => open(dir)?,
            ChosenModel::Hub(name) => open(&hub::resolve(name)?)?,
            ChosenModel::Url(url) => {
                let judge = Box::new(VotedJudge::new(served.connect(url)?));
                return Ok(OpenJudge { judge, local: None, room });
            }
        };
        settings.prefix_cache = prefix_cache(room.prefixes.as_ref(), &model);
        let local = Arc::new(LocalJudge::new(Engine::start(Arc::new(model), settings)?));
        let judge = Box::new(VotedJudge::new(Arc::clone(&local)));
        Ok(OpenJudge { judge, local: Some(local), room })
    }
}
