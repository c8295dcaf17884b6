//! Scores into probabilities: how, kept in a file beside the policy, and an honest look at what it
//! would do to contents that it was not fitted to.

use serde::{Deserialize, Serialize};

use super::isotonic::Isotonic;
use super::random::SplitMix;
use super::scored::Scored;
use super::temperature::Temperature;

/// How scores are calibrated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CalibrationMethod {
    /// Not at all.
    #[default]
    None,
    /// By one number; for sets of a hundred and up.
    Temperature,
    /// By a rising curve; for sets of a thousand and up (Niculescu-Mizil and Caruana 2005).
    Isotonic,
}

/// A calibration, fitted. In JSON `{"method": "temperature", "t": 1.5}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "lowercase")]
pub enum Calibration {
    /// Scores stay as they are.
    #[default]
    None,
    /// One number.
    Temperature(Temperature),
    /// A rising curve.
    Isotonic(Isotonic),
}

impl Calibration {
    /// Fits to contents with truths. `None` where one of the sides is empty: such a set would teach
    /// that everything violates, or nothing.
    pub fn fit(method: CalibrationMethod, items: &[Scored]) -> Option<Calibration> {
        let n_positives = items.iter().filter(|item| item.truth()).count();
        if n_positives == 0 || n_positives == items.len() {
            return None;
        }
        match method {
            CalibrationMethod::None => Some(Calibration::None),
            CalibrationMethod::Temperature => Temperature::fit(items).map(Calibration::Temperature),
            CalibrationMethod::Isotonic => Isotonic::fit(items).map(Calibration::Isotonic),
        }
    }

    /// The calibrated score, from 0 to 1; a higher score never comes out lower.
    pub fn apply(&self, score: f64) -> f64 {
        match self {
            Calibration::None => score.clamp(0.0, 1.0),
            Calibration::Temperature(temperature) => temperature.apply(score),
            Calibration::Isotonic(isotonic) => isotonic.apply(score),
        }
    }
}

/// Every content's score, calibrated by a fit to the other folds, in the order of `items`: what
/// calibration does to contents that it has not seen.
///
/// Both sides are shuffled by `seed` and dealt over the folds in turn, so each fold has its part of
/// either. `None` unless there are two folds and two contents on either side.
pub fn cross_fitted(
    method: CalibrationMethod,
    items: &[Scored],
    n_folds: usize,
    seed: u64,
) -> Option<Vec<Scored>> {
    let (mut dealt, mut clear): (Vec<usize>, Vec<usize>) =
        (0..items.len()).partition(|&item| items[item].truth());
    if n_folds < 2 || dealt.len() < 2 || clear.len() < 2 {
        return None;
    }
    let mut random = SplitMix::new(seed);
    random.shuffle(&mut dealt);
    random.shuffle(&mut clear);
    dealt.append(&mut clear);
    let mut calibrated = items.to_vec();
    for fold in 0..n_folds.min(items.len()) {
        let is_held = |turn: &usize| turn % n_folds == fold;
        let others: Vec<Scored> =
            (0..dealt.len()).filter(|turn| !is_held(turn)).map(|turn| items[dealt[turn]]).collect();
        let calibration = Calibration::fit(method, &others)?;
        for turn in (0..dealt.len()).filter(is_held) {
            let item = items[dealt[turn]];
            calibrated[dealt[turn]] = Scored::new(item.truth(), calibration.apply(item.score()))?;
        }
    }
    Some(calibrated)
}
