//! Scores into probabilities: what calibration would do to unseen items, and the fit that is kept.

use std::path::{Path, PathBuf};

use anyhow::Result;
use policy::PolicyId;
use policy::eval::{
    Bin, Bootstrap, Calibration, CalibrationMethod, Scored, cross_fitted, reliability,
};
use serde::Serialize;

use super::evaluation::{Evaluation, Report};
use super::measures::{Measure, N_BINS, calibration_error, resampled};

/// Parts of the set that each see the fit to the others.
const N_FOLDS: usize = 5;
/// Where calibrations lie, beside their policy.
const FILE: &str = "calibration.json";

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

/// A calibration with what it holds for: another policy or model gives other scores.
#[derive(Serialize)]
struct Saved<'a> {
    policy: &'a PolicyId,
    model: &'a str,
    made: &'a str,
    items: usize,
    #[serde(flatten)]
    calibration: &'a Calibration,
}

/// Writes the calibration of every policy of the first run beside it; gives the files.
pub(super) fn save(evaluation: &Evaluation) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for report in evaluation.runs.first().into_iter().flat_map(|run| &run.policies) {
        let Report { calibration: Some(calibrated), policy, file, .. } = report else { continue };
        let path: &Path = file;
        let path = path.with_file_name(FILE);
        let saved = Saved {
            policy: &policy.id,
            model: &evaluation.model,
            made: &evaluation.made,
            items: calibrated.items,
            calibration: &calibrated.calibration,
        };
        super::write_json(&path, &saved)?;
        paths.push(path);
    }
    Ok(paths)
}
