//! The file that names filters, a budget and routes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use cascade::{Filter, Routes};
use policy::Judge;
use serde::Deserialize;

use super::super::chosen::{ChosenModel, Room};
use super::super::served::ServerArgs;
use super::budget::BudgetTable;
use crate::output::hinted;

/// What stands before the model.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// Megabytes of verdicts to remember within a run.
    #[serde(default)]
    pub(super) cache_mb: usize,
    /// Where they are kept from run to run.
    pub(super) cache_file: Option<PathBuf>,
    /// Whether contents that differ in metadata alone are the same.
    #[serde(default)]
    pub(super) cache_ignores_metadata: bool,
    #[serde(default)]
    pub(super) filter: Vec<FilterSettings>,
    pub(super) budget: Option<BudgetTable>,
    pub(super) bigger: Option<BiggerModel>,
    /// A file that `safeguard eval --routes-out` wrote, relative to the file that names it.
    routes: Option<PathBuf>,
    /// What that file holds.
    #[serde(skip)]
    pub(super) learned: Option<RoutesFile>,
}

/// The model that is asked where the usual one is in doubt at high effort.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BiggerModel {
    /// What `--model` takes; a folder is relative to the file that names it.
    model: String,
    /// With a URL: which of the server's models.
    served_model: Option<String>,
}

impl BiggerModel {
    /// Opens the model and starts its judge.
    pub(super) fn open(&self, room: &Room) -> Result<Box<dyn Judge>> {
        let Ok(chosen) = self.model.parse::<ChosenModel>();
        let served = ServerArgs::of_bigger(self.served_model.clone());
        let open = chosen.open(room.clone(), &served).context("the bigger model")?;
        Ok(open.judge)
    }
}

/// One filter in service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FilterSettings {
    /// Relative to the file that names it.
    pub(super) file: PathBuf,
    /// Where the filter's sentence encoder is, if not where the training found it.
    pub(super) embed: Option<String>,
    /// The share of stopped items that the model judges all the same.
    #[serde(default = "usual_rate")]
    pub(super) audit_rate: f64,
    /// Draws them; by default a random number that is kept with the audit.
    pub(super) audit_seed: Option<u64>,
    /// How far a budget that may do so raises the threshold where compute is short.
    pub(super) highest_threshold: Option<f64>,
    /// What happens once the promise is found broken.
    #[serde(default)]
    pub(super) on_alarm: OnAlarm,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnAlarm {
    /// Everything goes to the model.
    #[default]
    Bypass,
    /// The filter stays in service.
    Keep,
}

fn usual_rate() -> f64 {
    0.01
}

/// Routes as they are kept, with what they hold for.
#[derive(Debug, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoutesFile {
    /// The model's name.
    pub(crate) model: String,
    /// The policies whose cases they were learned on, by hash.
    pub(crate) policies: Vec<String>,
    /// When, in UTC.
    pub(crate) made: String,
    /// Cases that they were learned and confirmed on.
    pub(crate) cases: usize,
    pub(crate) routes: Routes,
}

/// Reads the file; a filter's own file names itself.
pub(super) fn read_settings(path: &Path) -> Result<Settings> {
    let bytes = fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let Some(text) = String::from_utf8(bytes).ok().filter(|text| !Filter::is_file(text.as_bytes()))
    else {
        let filter = FilterSettings {
            file: path.to_owned(),
            embed: None,
            audit_rate: usual_rate(),
            audit_seed: None,
            highest_threshold: None,
            on_alarm: OnAlarm::Bypass,
        };
        return Ok(Settings { filter: vec![filter], ..Settings::default() });
    };
    let settings: Settings = toml::from_str(&text).map_err(|error| {
        let error = anyhow!(error).context(path.display().to_string());
        hinted(error, "cache_mb and routes stand first; a filter is named by [[filter]] and file = \"…\", with embed, audit_rate, audit_seed, highest_threshold and on_alarm if wanted; a budget is [budget] with tokens_per_second = …; a bigger model is [bigger] with model = \"…\"")
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let beside = |one: FilterSettings| FilterSettings {
        file: folder.join(&one.file),
        embed: one.embed.map(|embed| found_beside(folder, embed)),
        ..one
    };
    let filter: Vec<FilterSettings> = settings.filter.into_iter().map(beside).collect();
    let learned =
        settings.routes.as_ref().map(|file| read_routes(&folder.join(file))).transpose()?;
    let budget = settings.budget.map(|budget| budget.beside(folder));
    check_raising(path, &budget, &filter)?;
    let bigger =
        settings.bigger.map(|it| BiggerModel { model: found_beside(folder, it.model), ..it });
    if bigger.is_some() && learned.is_none() {
        let error =
            anyhow!("{}: a bigger model is asked by routes, and there are none", path.display());
        return Err(hinted(
            error,
            "routes = \"routes.toml\"; `safeguard eval --routes-out` learns them",
        ));
    }
    let cache_file = settings.cache_file.map(|file| folder.join(file));
    if cache_file.is_some() && settings.cache_mb == 0 {
        let error = anyhow!("{}: cache_file keeps nothing without cache_mb", path.display());
        return Err(hinted(error, "cache_mb = 64 remembers 64 MB of verdicts"));
    }
    Ok(Settings { filter, learned, budget, bigger, cache_file, ..settings })
}

/// Raising thresholds takes a budget's word and an owner's.
fn check_raising(
    path: &Path,
    budget: &Option<BudgetTable>,
    filters: &[FilterSettings],
) -> Result<()> {
    let may_raise = budget.as_ref().is_some_and(|budget| budget.may_raise_threshold);
    let is_allowed = filters.iter().any(|filter| filter.highest_threshold.is_some());
    if may_raise == is_allowed {
        return Ok(());
    }
    let problem = if may_raise {
        "the budget may raise thresholds, and no filter says how far"
    } else {
        "a filter has a highest_threshold, and no budget may raise it"
    };
    Err(hinted(
        anyhow!("{}: {problem}", path.display()),
        "it takes both: may_raise_threshold = true in [budget], highest_threshold = … in [[filter]]; what is cleared so has no proven recall",
    ))
}

/// A directory relative to the folder; anything else is a name.
fn found_beside(folder: &Path, embed: String) -> String {
    let path = folder.join(&embed);
    path.to_str().filter(|_| path.is_dir()).map(str::to_owned).unwrap_or(embed)
}

fn read_routes(path: &Path) -> Result<RoutesFile> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("{}: cannot be read as text", path.display()))?;
    toml::from_str(&text).map_err(|error| {
        let error = anyhow!(error).context(path.display().to_string());
        hinted(error, "`safeguard eval --policy … --golden … --routes-out FILE` makes one")
    })
}
