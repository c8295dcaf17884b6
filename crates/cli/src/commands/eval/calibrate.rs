//! Scores into probabilities: what calibration would do to unseen items, and the fit that is kept.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use policy::JudgeSettings;
use policy::eval::{
    Bin, Bootstrap, Calibration, CalibrationMethod, Scored, cross_fitted, reliability,
};
use serde::Serialize;

use super::evaluation::{Evaluation, Report};
use super::measures::{Measure, N_BINS, calibration_error, resampled};
use crate::commands::files::CALIBRATION;
use crate::commands::judging::SavedCalibration;
use crate::output::report_note;

/// Parts of the set that each see the fit to the others.
const N_FOLDS: usize = 5;

/// A calibration with its effect.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Calibrated {
    pub(super) folds: usize,
    /// Items with a score.
    pub(super) items: usize,
    pub(super) ece_before: Measure,
    /// Of scores calibrated by a fit to the other folds.
    pub(super) ece_after: Measure,
    /// Of the same.
    pub(super) reliability: Vec<Bin>,
    /// Fitted to all items.
    pub(super) calibration: Calibration,
}

impl Calibrated {
    /// `None` where no calibration is wanted, or the set has fewer than two items on a side.
    pub(super) fn new(
        method: CalibrationMethod,
        scored: &[Scored],
        bootstrap: &Bootstrap,
    ) -> Option<Calibrated> {
        if method == CalibrationMethod::None {
            return None;
        }
        let after = cross_fitted(method, scored, N_FOLDS, bootstrap.seed)?;
        let ece = |scored: &[Scored]| {
            resampled(scored, bootstrap, |set| {
                calibration_error(&set.iter().map(|one| **one).collect::<Vec<Scored>>())
            })
        };
        Some(Calibrated {
            folds: N_FOLDS,
            items: scored.len(),
            ece_before: ece(scored),
            ece_after: ece(&after),
            reliability: reliability(&after, N_BINS),
            calibration: Calibration::fit(method, scored)?,
        })
    }

    pub(super) fn method_word(&self) -> &'static str {
        match self.calibration {
            Calibration::None => "nothing",
            Calibration::Temperature(_) => "temperature",
            Calibration::Isotonic(_) => "isotonic regression",
        }
    }
}

/// Writes the calibration of every policy of the first run beside it; gives the files.
pub(super) fn save(
    evaluation: &Evaluation,
    judge: &str,
    settings: &JudgeSettings,
) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for report in evaluation.runs.first().into_iter().flat_map(|run| &run.policies) {
        let Report { calibration: Some(calibrated), policy, file, .. } = report else { continue };
        let path = file.with_file_name(CALIBRATION);
        ensure!(!paths.contains(&path), "{}: two of the policies lie beside it", path.display());
        let saved = SavedCalibration {
            policy: policy.id.clone(),
            model: evaluation.model.clone(),
            judge: judge.to_owned(),
            direct: settings.direct,
            made: evaluation.made.clone(),
            items: calibrated.items,
            calibration: calibrated.calibration.clone(),
        };
        note_where_other_is_replaced(&path, &saved);
        super::write_json(&path, &saved)?;
        paths.push(path);
    }
    Ok(paths)
}

/// There is one file beside a policy, so a fit to direct scores takes the place of one to others, or the other way round.
fn note_where_other_is_replaced(path: &Path, new: &SavedCalibration) {
    let bytes = fs::read(path).unwrap_or_default();
    let Ok(old) = serde_json::from_slice::<SavedCalibration>(&bytes) else { return };
    if old.direct != new.direct {
        report_note(&format!(
            "{} was fitted to {}; the new one, to {}, takes its place",
            path.display(),
            old.fitted_to(),
            new.fitted_to()
        ));
    }
}
