//! Audits as they are kept beside their filters: begun, gone on with, saved while a run goes, told about.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use cascade::audit::{
    Audit, AuditRate, AuditSettings, AuditState, RESTART_EVERY, RecallDrop, forecast,
};
use cascade::{Agreement, FilterStage, Promise};
use policy::PolicyId;
use policy::eval::Level;
use serde::{Deserialize, Serialize};

use super::settings::FilterSettings;
use crate::commands::files::{read_if_there, write};
use crate::output::{hinted, report_hint, report_note};

/// How long to wait for another run that ends.
const PATIENCE: Duration = Duration::from_secs(3);
/// The drop that the forecast is for: so many times the promised share of misses.
const TIMES_MISSED: f64 = 3.0;

/// The filter of a file, held so that no other run counts for its audit meanwhile. Ends with the process, however
/// that ends.
#[derive(Debug)]
pub(super) struct Held {
    _file: File,
}

impl Held {
    /// # Errors
    /// If another run holds it for long.
    pub(super) fn of(filter: &Path) -> Result<Held> {
        let place = || format!("{}: cannot be opened", filter.display());
        let file = File::open(filter).with_context(place)?;
        let begun = Instant::now();
        while let Err(error) = file.try_lock() {
            if !matches!(error, std::fs::TryLockError::WouldBlock) {
                return Err(anyhow!(error)).with_context(place);
            }
            if begun.elapsed() >= PATIENCE {
                let error =
                    anyhow!("{}: another run counts for this filter's audit", filter.display());
                let how = "wait for it, or give this run a copy of the filter: each copy has an audit of its own";
                return Err(hinted(error, how));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Held { _file: file })
    }
}

/// An audit as it is kept beside its filter.
#[derive(Serialize, Deserialize)]
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

/// The audit that goes on, or one that begins.
pub(super) fn open(
    settings: &FilterSettings,
    stage: &FilterStage,
    policy: &PolicyId,
    recall: f64,
) -> Result<Audit> {
    if let Some(audit) = kept_audit(settings, stage)? {
        return Ok(audit);
    }
    Ok(Audit::new(AuditSettings {
        policy: policy.clone(),
        seed: settings.audit_seed.map_or_else(getrandom::u64, Ok)?,
        rate: AuditRate::new(settings.audit_rate)
            .with_context(|| settings.file.display().to_string())?,
        promise: Promise::new(recall, Level::P95)?,
        restart_every: RESTART_EVERY,
    }))
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
    // A filter that was rewritten, or settings that changed, do not make a broken promise good.
    if kept.audit.alarm().is_some() {
        let error = anyhow!(
            "{}: this audit found the promise broken, and was begun for another filter or with other settings",
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

/// Writes the audit beside its filter.
pub(super) fn save(file: &Path, stage: &FilterStage, audit: Audit) -> Result<()> {
    let kept = Kept { filter: stage.name().to_owned(), audit };
    write(&audit_path(file), &serde_json::to_vec(&kept)?)
}

/// What the filter did, and where its audit stands.
pub(super) fn report(file: &Path, stage: &FilterStage, audit: &Audit) {
    let is_bypassed = stage.is_bypassed();
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
    tell_agreement(file, stage.agreement());
    tell_forecast(audit);
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

/// What the model says of the violations that the classifier called by itself.
fn tell_agreement(file: &Path, Agreement { audited, agreed }: Agreement) {
    if audited > 0 {
        report_note(&format!(
            "{}: of the violations that it called by itself, {audited} were audited; the model agrees on {agreed}",
            file.display()
        ));
    }
}

/// How soon a drop would be noticed, going by the violations found so far.
fn tell_forecast(audit: &Audit) {
    let (counts, estimate) = (audit.counts(), audit.estimate());
    let n_violations = estimate.caught as f64 + estimate.missed;
    if audit.alarm().is_some() || n_violations == 0.0 {
        return;
    }
    let promised = audit.settings().promise.recall();
    let drop = RecallDrop {
        base_rate: n_violations / counts.n_items() as f64,
        recall_before: promised,
        recall_after: (1.0 - TIMES_MISSED * (1.0 - promised)).max(0.5 * promised),
        n_before: counts.n_items(),
    };
    if let Some(forecast) = forecast(audit.settings(), drop) {
        report_note(&format!(
            "a drop of the recall to {:.3} would be noticed within about {:.0} more items, nine times of ten",
            drop.recall_after, forecast.likely_items
        ));
    }
}
