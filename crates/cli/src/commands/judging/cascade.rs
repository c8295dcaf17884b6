//! Filters before the model: which, how they are audited, and what there is to say at the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use cascade::audit::{Audit, AuditRate, AuditSettings, AuditState, RESTART_EVERY};
use cascade::{CascadeJudge, Filter, FilterStage, Promise};
use policy::eval::Level;
use policy::{Judge, Policy};
use serde::Deserialize;

use crate::commands::files::{read_if_there, write};
use crate::commands::filter::{encoder_of, read_filter};
use crate::output::{hinted, report_hint, report_note};

/// Flag of commands that may ask filters first.
#[derive(Debug, clap::Args)]
pub(crate) struct CascadeArgs {
    /// Ask a filter first: its file, or a TOML file that names several and how they are audited
    #[arg(long, value_name = "FILE")]
    cascade: Option<PathBuf>,
}

/// A file that names filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Megabytes of verdicts to remember within a run.
    #[serde(default)]
    cache_mb: usize,
    #[serde(default)]
    filter: Vec<FilterSettings>,
}

/// One filter in service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FilterSettings {
    /// Relative to the file that names it.
    file: PathBuf,
    /// Where the filter's sentence encoder is, if not where the training found it.
    embed: Option<String>,
    /// The share of stopped items that the model judges all the same.
    #[serde(default = "usual_rate")]
    audit_rate: f64,
    /// Draws them; by default a random number that is kept with the audit.
    audit_seed: Option<u64>,
    /// What happens once the promise is found broken.
    #[serde(default)]
    on_alarm: OnAlarm,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnAlarm {
    /// Everything goes to the model.
    #[default]
    Bypass,
    /// The filter stays in service.
    Keep,
}

fn usual_rate() -> f64 {
    0.01
}

/// Whether what a filter does now counts for its audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// Real items: a share of the stopped ones is audited, and the audit goes on from run to run.
    Live,
    /// Chosen items: nothing is audited or counted.
    Trial,
}

/// A judge with the filters before it.
pub(crate) struct Cascaded {
    judge: Arc<CascadeJudge<Box<dyn Judge>>>,
    /// Filters' files with their policies.
    filters: Vec<(PathBuf, policy::PolicyId)>,
}

impl CascadeArgs {
    /// Puts the filters before a judge; `None` where there are to be none.
    pub(crate) fn over<'a>(
        &self,
        judge: Box<dyn Judge>,
        policies: impl Iterator<Item = &'a Policy>,
        traffic: Traffic,
    ) -> Result<(Box<dyn Judge>, Option<Cascaded>)> {
        let Some(path) = &self.cascade else { return Ok((judge, None)) };
        let mut stages = Vec::new();
        let mut filters: Vec<(PathBuf, policy::PolicyId)> = Vec::new();
        let policies: Vec<&Policy> = policies.collect();
        let Settings { cache_mb, filter } = read_settings(path)?;
        for settings in filter {
            let stage = stage(&settings, &policies, traffic)?;
            let bound = bound(&stage).map(|policy| (settings.file.clone(), policy.id.clone()));
            if let Some((other, _)) =
                filters.iter().find(|(_, id)| bound.as_ref().is_some_and(|it| it.1 == *id))
            {
                bail!(
                    "{} and {} are for the same policy",
                    other.display(),
                    settings.file.display()
                );
            }
            filters.extend(bound);
            stages.push(stage);
        }
        let judge = CascadeJudge::new(stages, judge);
        let judge = if cache_mb > 0 { judge.remembering(cache_mb << 20) } else { judge };
        let judge = Arc::new(judge);
        for policy in policies.iter().filter(|policy| judge.stage(&policy.id).is_none()) {
            report_note(&format!("{} has no filter: all of it goes to the model", policy.name));
        }
        Ok((Box::new(Arc::clone(&judge)), Some(Cascaded { judge, filters })))
    }
}

/// The filters that a file names; a filter's own file names itself.
fn read_settings(path: &Path) -> Result<Settings> {
    let bytes = fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let Some(text) = String::from_utf8(bytes).ok().filter(|text| !Filter::is_file(text.as_bytes()))
    else {
        let filter = FilterSettings {
            file: path.to_owned(),
            embed: None,
            audit_rate: usual_rate(),
            audit_seed: None,
            on_alarm: OnAlarm::Bypass,
        };
        return Ok(Settings { cache_mb: 0, filter: vec![filter] });
    };
    let settings: Settings = toml::from_str(&text).map_err(|error| {
        let error = anyhow!(error).context(path.display().to_string());
        hinted(error, "cache_mb stands first; a filter is named by [[filter]] and file = \"…\", with embed, audit_rate, audit_seed and on_alarm if wanted")
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let beside = |one: FilterSettings| FilterSettings {
        file: folder.join(&one.file),
        embed: one.embed.map(|embed| found_beside(folder, embed)),
        ..one
    };
    Ok(Settings { filter: settings.filter.into_iter().map(beside).collect(), ..settings })
}

/// A directory relative to the folder; anything else is a name.
fn found_beside(folder: &Path, embed: String) -> String {
    let path = folder.join(&embed);
    path.to_str().filter(|_| path.is_dir()).map(str::to_owned).unwrap_or(embed)
}

fn stage(settings: &FilterSettings, policies: &[&Policy], traffic: Traffic) -> Result<FilterStage> {
    let filter = read_filter(&settings.file)?;
    let place = || settings.file.display().to_string();
    if let Some(bound) = &filter.about.policy
        && let Some(policy) = policies.iter().find(|policy| policy.name == bound.name)
    {
        filter.check_policy(&policy.reference()).map_err(|error| {
            let how = format!(
                "prove it for this version: `safeguard filter calibrate {} --policy …`",
                place()
            );
            hinted(anyhow!(error).context(place()), how)
        })?;
    }
    let evidence = filter.about.calibration.clone();
    let encoder = encoder_of(&settings.file, &filter, settings.embed.as_deref(), None)?;
    let stage = FilterStage::unwatched(filter, encoder).map_err(|error| {
        let how = "`safeguard filter calibrate FILTER --data … --policy …` proves its recall and binds it to a policy";
        hinted(anyhow!(error).context(place()), how)
    })?;
    let (Traffic::Live, Some(evidence)) = (traffic, evidence) else { return Ok(stage) };
    let audit = match kept_audit(settings, &stage)? {
        Some(audit) => audit,
        None => Audit::new(AuditSettings {
            policy: bound(&stage).context("a filter in service is bound to a policy")?.id.clone(),
            seed: settings.audit_seed.map_or_else(getrandom::u64, Ok)?,
            rate: AuditRate::new(settings.audit_rate).with_context(place)?,
            promise: Promise::new(evidence.chosen.recall, Level::P95)?,
            restart_every: RESTART_EVERY,
        }),
    };
    Ok(stage.watched(audit, matches!(settings.on_alarm, OnAlarm::Keep))?)
}

fn bound(stage: &FilterStage) -> Option<&policy::PolicyRef> {
    stage.filter().about.policy.as_ref()
}

/// An audit as it is kept beside its filter.
#[derive(serde::Serialize, Deserialize)]
struct Kept {
    /// Which filter it watched.
    filter: String,
    audit: Audit,
}

/// Where a filter's audit is kept.
fn audit_path(filter: &Path) -> PathBuf {
    let mut name = filter.file_name().unwrap_or_default().to_owned();
    name.push(".audit.json");
    filter.with_file_name(name)
}

/// The audit kept beside a filter, if it is of this very filter and was begun with the same settings.
fn kept_audit(settings: &FilterSettings, stage: &FilterStage) -> Result<Option<Audit>> {
    let path = audit_path(&settings.file);
    let remove = "remove the file to begin another audit";
    let Some(bytes) = read_if_there(&path)? else { return Ok(None) };
    let kept: Kept = serde_json::from_slice(&bytes)
        .map_err(|error| hinted(anyhow!(error).context(path.display().to_string()), remove))?;
    let begun = kept.audit.settings();
    let is_same_filter = kept.filter == stage.name();
    let is_as_set = settings.audit_seed.is_none_or(|seed| seed == begun.seed)
        && settings.audit_rate == begun.rate.value();
    if is_same_filter && is_as_set {
        return Ok(Some(kept.audit));
    }
    if is_same_filter && kept.audit.alarm().is_some() {
        let error = anyhow!(
            "{}: this audit found the promise broken, and was begun with other settings",
            path.display()
        );
        return Err(hinted(error, remove));
    }
    report_note(&format!(
        "{} is of another filter or other settings: a new audit begins",
        path.display()
    ));
    Ok(None)
}

impl Cascaded {
    /// Keeps the audits, and says what the filters did.
    pub(crate) fn finish(&self) -> Result<()> {
        for (file, policy) in &self.filters {
            let Some(stage) = self.judge.stage(policy) else { continue };
            let Some(audit) = stage.audit() else { continue };
            let kept = Kept { filter: stage.name().to_owned(), audit };
            write(&audit_path(file), &serde_json::to_vec(&kept)?)?;
            report(file, &kept.audit, stage.is_bypassed());
        }
        if let Some(counts) = self.judge.cache_counts() {
            report_note(&format!(
                "verdicts known letter for letter: {}, but for case and spaces: {}, not known: {}",
                counts.exact, counts.normalised, counts.missed
            ));
        }
        Ok(())
    }
}

fn report(file: &Path, audit: &Audit, is_bypassed: bool) {
    let counts = audit.counts();
    let n_audited = counts.missed + counts.audited_clear + counts.audited_undetermined;
    let n_stopped = counts.stopped + n_audited;
    let state = match audit.state() {
        AuditState::Holding => "holds",
        AuditState::Unproven => "is not yet proven on this traffic",
        AuditState::Broken => "is broken",
    };
    let interval = audit.interval();
    report_note(&format!(
        "{} stopped {n_stopped} of {} items so far, {n_audited} of them audited; the recall of {} {state}: {} ({:.3}–{:.3})",
        file.display(),
        counts.n_items(),
        audit.settings().promise.recall(),
        audit
            .estimate()
            .recall
            .map_or_else(|| "no violation yet".to_owned(), |recall| format!("{recall:.3}")),
        interval.low,
        interval.high
    ));
    if audit.alarm().is_some() {
        let now = if is_bypassed {
            "everything goes to the model"
        } else {
            "the filter stays in service by setting"
        };
        report_hint(&format!(
            "{now}; train and calibrate on items of today, then remove {}",
            audit_path(file).display()
        ));
    }
}
