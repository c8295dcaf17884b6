//! Filters, as their files and the settings put them in service.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use cascade::{Filter, FilterStage};
use policy::{Policy, PolicyId};
use reasoner::LocalJudge;

use super::super::local;
use super::Traffic;
use super::audits::{self, Held};
use super::settings::{FilterSettings, OnAlarm};
use crate::commands::filter::{VectorSource, encoder_of, read_filter};
use crate::output::hinted;

/// Filters that are put in service together.
pub(super) struct Stages {
    pub(super) stages: Vec<FilterStage>,
    /// Their files with their policies.
    pub(super) filters: Vec<(PathBuf, PolicyId)>,
    pub(super) held: Vec<Held>,
}

/// Opens those that are for one of the policies.
pub(super) fn stages(
    settings: &[FilterSettings],
    policies: &[&Policy],
    traffic: Traffic,
    model: Option<&Arc<LocalJudge>>,
) -> Result<Stages> {
    let mut all = Stages { stages: Vec::new(), filters: Vec::new(), held: Vec::new() };
    for (at, one) in settings.iter().enumerate() {
        if settings[..at].iter().any(|other| other.file == one.file) {
            bail!("{} is named twice", one.file.display());
        }
        let filter = read_filter(&one.file)?;
        let bound_to = filter.about.policy.as_ref();
        let is_asked = |policy: &&Policy| {
            bound_to.is_none_or(|to| to.id == policy.id || to.name == policy.name)
        };
        if !policies.iter().any(is_asked) {
            continue;
        }
        if traffic != Traffic::Trial {
            all.held.push(Held::of(&one.file)?);
        }
        let stage = stage(filter, one, policies, traffic, model)?;
        let bound = bound(&stage).map(|policy| (one.file.clone(), policy.id.clone()));
        let is_same = |(_, id): &&(PathBuf, PolicyId)| bound.as_ref().is_some_and(|it| it.1 == *id);
        if let Some((other, _)) = all.filters.iter().find(is_same) {
            bail!("{} and {} are for the same policy", other.display(), one.file.display());
        }
        all.filters.extend(bound);
        all.stages.push(stage);
    }
    Ok(all)
}

fn stage(
    filter: Filter,
    settings: &FilterSettings,
    policies: &[&Policy],
    traffic: Traffic,
    model: Option<&Arc<LocalJudge>>,
) -> Result<FilterStage> {
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
    if let (Some(decides), Some(model)) = (&filter.about.decides, model)
        && decides.reasoner != model.engine().model().name()
    {
        let error = anyhow!(
            "{}: this filter was promoted beside {}, and another model judges now",
            place(),
            decides.reasoner
        );
        return Err(hinted(
            error,
            "promote it beside this model, or calibrate it again, which takes the promotion back",
        ));
    }
    let evidence = filter.about.calibration.clone();
    let bound_to = filter.about.policy.as_ref();
    let source = VectorSource {
        embed: settings.embed.as_deref(),
        policy: policies.iter().copied().find(|it| bound_to.is_some_and(|to| to.id == it.id)),
        model: &|| local(model.cloned()),
        n_threads: None,
    };
    let encoder = encoder_of(&settings.file, &filter, &source)?;
    let stage = FilterStage::unwatched(filter, encoder).map_err(|error| {
        let how = "`safeguard filter calibrate FILTER --data … --policy …` proves its recall and binds it to a policy";
        hinted(anyhow!(error).context(place()), how)
    })?;
    let stage = match settings.highest_threshold {
        Some(highest) => raised_up_to(stage, highest).with_context(place)?,
        None => stage,
    };
    let (false, Some(evidence)) = (traffic == Traffic::Trial, evidence) else { return Ok(stage) };
    let policy = bound(&stage).context("a filter in service is bound to a policy")?.id.clone();
    let audit = audits::open(settings, &stage, &policy, evidence.chosen.recall)?;
    Ok(stage.watched(audit, settings.on_alarm == OnAlarm::Keep)?)
}

fn raised_up_to(stage: FilterStage, highest: f64) -> Result<FilterStage> {
    let proven = stage.filter().about.calibration.as_ref().map_or(0.0, |it| it.chosen.threshold);
    if !(highest > proven && highest <= 1.0) {
        let error = anyhow!(
            "highest_threshold = {highest} is not above the proven {proven:.4} and at most 1"
        );
        return Err(hinted(error, "`safeguard filter show` tells the proven threshold"));
    }
    Ok(stage.raised_up_to(highest))
}

fn bound(stage: &FilterStage) -> Option<&policy::PolicyRef> {
    stage.filter().about.policy.as_ref()
}
