//! Calibrations that lie beside policies: held against policy and judge, then put on every score.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use policy::eval::Calibration;
use policy::{Content, Judge, JudgeSettings, Observer, Policy, PolicyId, ScoreMethod, Verdict};
use serde::{Deserialize, Serialize};

use super::OpenJudge;
use crate::commands::files::{CALIBRATION, read_beside};
use crate::output::{hinted, report_hint, report_note};

/// What makes a calibration.
const HOW: &str = "`safeguard eval --policy POLICY --calibrate METHOD --save-calibration`";

/// A calibration with what it holds for: another policy or model gives other scores.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedCalibration {
    pub(crate) policy: PolicyId,
    /// The model's name, for people.
    pub(crate) model: String,
    /// Who judged, exactly: two trainings share a name and not an identity.
    pub(crate) judge: String,
    /// Whether the scores were direct ones: those of verdicts with reasoning are others.
    #[serde(default)]
    pub(crate) direct: bool,
    /// When, in UTC.
    pub(crate) made: String,
    /// Items it was fitted to.
    pub(crate) items: usize,
    #[serde(flatten)]
    pub(crate) calibration: Calibration,
}

impl SavedCalibration {
    /// What it was fitted to, in words.
    pub(crate) fn fitted_to(&self) -> &'static str {
        if self.direct { "direct scores" } else { "verdicts with reasoning" }
    }
}

/// The calibrations of some policies.
#[derive(Debug, Default)]
pub(crate) struct Calibrations {
    found: Vec<(PathBuf, SavedCalibration)>,
}

impl Calibrations {
    /// Reads what lies beside policies' files; what is for another version of a policy is not used, and a note says
    /// so.
    pub(crate) fn beside<'a>(
        policies: impl IntoIterator<Item = (&'a Path, &'a Policy)>,
    ) -> Result<Calibrations> {
        let mut found = Vec::new();
        for (file, policy) in policies {
            let Some((path, bytes)) = read_beside(file, CALIBRATION)? else { continue };
            let saved: SavedCalibration = serde_json::from_slice(&bytes).map_err(|error| {
                let error = anyhow::Error::from(error).context(path.display().to_string());
                hinted(error, format!("remove the file; {HOW} makes a new one"))
            })?;
            if saved.policy == policy.id {
                found.push((path, saved));
            } else {
                report_stale(&path, "another version of the policy");
            }
        }
        Ok(Calibrations { found })
    }

    /// A judge whose verdicts have a probability wherever a calibration is for this very judge; a note names those
    /// that are for another, and those for the other way than the one that is usual here, `direct` or not.
    pub(crate) fn over(self, open: OpenJudge, direct: bool) -> OpenJudge {
        if self.found.is_empty() {
            return open;
        }
        let judge = open.judge;
        let identity = judge.identity();
        let mut calibrations = HashMap::new();
        for (path, saved) in self.found {
            if saved.judge == identity {
                if saved.direct != direct {
                    report_stale(&path, &format!("{} alone", saved.fitted_to()));
                }
                // A service may be asked for either.
                calibrations.insert(saved.policy.clone(), saved);
            } else {
                report_stale(&path, "another model, or other weights of it");
            }
        }
        OpenJudge { judge: Box::new(CalibratedJudge { judge, calibrations }), ..open }
    }
}

fn report_stale(path: &Path, what_for: &str) {
    report_note(&format!("{} is for {what_for}, so it is not used", path.display()));
    report_hint(&format!("make it anew with {HOW}"));
}

/// Puts probabilities beside scores.
struct CalibratedJudge {
    judge: Box<dyn Judge>,
    calibrations: HashMap<PolicyId, SavedCalibration>,
}

impl Judge for CalibratedJudge {
    fn identity(&self) -> String {
        self.judge.identity()
    }

    fn judge(
        &self,
        policy: &Policy,
        content: &Content,
        settings: &JudgeSettings,
        observer: &mut dyn Observer,
    ) -> Verdict {
        let verdict = self.judge.judge(policy, content, settings, observer);
        let is_direct = verdict.score_method == ScoreMethod::Direct;
        let saved = self.calibrations.get(&policy.id).filter(|saved| saved.direct == is_direct);
        let probability =
            saved.zip(verdict.score).map(|(saved, score)| saved.calibration.apply(score));
        Verdict { probability, ..verdict }
    }
}

/// How probable a violation is, in words; `None` without a score.
pub(crate) fn probability_words(verdict: &Verdict) -> Option<String> {
    let score = verdict.score?;
    Some(match verdict.probability {
        Some(probability) => {
            format!("probability of a violation {probability:.3} (calibrated; score {score:.3})")
        }
        None => format!("probability of a violation {score:.3}"),
    })
}
