//! What a judge could do at every threshold: ROC, precision and recall, and the choice of one.
//!
//! Contents with one score stand or fall together, so equal scores make one step of a curve.

use serde::Serialize;

use super::confusion::Confusion;
use super::scored::Scored;

/// The counts at every threshold that makes a difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// By falling threshold.
    steps: Vec<Step>,
    positives: u64,
    negatives: u64,
}

/// What scores at or above the threshold hold.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    threshold: f64,
    tp: u64,
    fp: u64,
}

/// A point of the ROC curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RocPoint {
    /// Scores from here up are violations; `None` at the start, where nothing is.
    pub threshold: Option<f64>,
    /// Of the clear contents, the share called violations.
    pub false_positive_rate: f64,
    /// Of the violations, the share called so.
    pub true_positive_rate: f64,
}

/// A point of the curve of precision over recall.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PrPoint {
    /// Scores from here up are violations.
    pub threshold: f64,
    /// Of what is called a violation, the share that is one.
    pub precision: f64,
    /// Of the violations, the share called so.
    pub recall: f64,
}

/// A threshold and what it does. Measured on the contents that it was chosen by, which flatters it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OperatingPoint {
    /// Scores from here up are violations.
    pub threshold: f64,
    /// What comes of it.
    pub confusion: Confusion,
}

impl Curve {
    /// Sorts the scores; the order of `items` does not matter.
    pub fn new(items: &[Scored]) -> Curve {
        let mut items = items.to_vec();
        items.sort_by(|a, b| b.score().total_cmp(&a.score()));
        let (mut tp, mut fp) = (0, 0);
        let mut steps = Vec::new();
        for group in items.chunk_by(|a, b| a.score() == b.score()) {
            let hits = group.iter().filter(|item| item.truth()).count() as u64;
            tp += hits;
            fp += group.len() as u64 - hits;
            steps.push(Step { threshold: group[0].score(), tp, fp });
        }
        Curve { steps, positives: tp, negatives: fp }
    }

    /// From nothing called a violation to everything; every threshold is kept. `None` where one of
    /// the sides is empty.
    pub fn roc(&self) -> Option<Vec<RocPoint>> {
        if self.positives == 0 || self.negatives == 0 {
            return None;
        }
        let start = RocPoint { threshold: None, false_positive_rate: 0.0, true_positive_rate: 0.0 };
        let points = self.steps.iter().map(|step| RocPoint {
            threshold: Some(step.threshold),
            false_positive_rate: step.fp as f64 / self.negatives as f64,
            true_positive_rate: step.tp as f64 / self.positives as f64,
        });
        Some(std::iter::once(start).chain(points).collect())
    }

    /// The area under the ROC curve: how often a violation scores above a clear content, a tie
    /// counting half (Mann and Whitney; Hanley and McNeil 1982). `None` where one of the sides is
    /// empty.
    pub fn auroc(&self) -> Option<f64> {
        let pairs = u128::from(self.positives) * u128::from(self.negatives);
        let mut twice_won = 0_u128;
        let (mut tp, mut fp) = (0, 0);
        for step in &self.steps {
            twice_won += u128::from(step.fp - fp) * u128::from(tp + step.tp);
            (tp, fp) = (step.tp, step.fp);
        }
        (pairs > 0).then(|| twice_won as f64 / (2 * pairs) as f64)
    }

    /// By falling threshold, so by rising recall. The usual extra point of recall 0 and precision 1
    /// belongs to no threshold and is left out. `None` where nothing violates.
    pub fn precision_recall(&self) -> Option<Vec<PrPoint>> {
        let positives = self.positives as f64;
        let point = |step: &Step| PrPoint {
            threshold: step.threshold,
            precision: step.precision(),
            recall: step.tp as f64 / positives,
        };
        (self.positives > 0).then(|| self.steps.iter().map(point).collect())
    }

    /// The area under precision over recall, in steps and without interpolation: the sum of
    /// `(recall - recall before) precision`, as scikit-learn's `average_precision_score`. `None`
    /// where nothing violates.
    pub fn average_precision(&self) -> Option<f64> {
        let mut before = 0;
        let mut sum = 0.0;
        for step in &self.steps {
            sum += (step.tp - before) as f64 * step.precision();
            before = step.tp;
        }
        (self.positives > 0).then(|| sum / self.positives as f64)
    }

    /// What calling scores at or above `threshold` violations comes to.
    pub fn confusion_at(&self, threshold: f64) -> Confusion {
        let n_steps = self.steps.partition_point(|step| step.threshold >= threshold);
        let (tp, fp) = n_steps
            .checked_sub(1)
            .and_then(|last| self.steps.get(last))
            .map_or((0, 0), |step| (step.tp, step.fp));
        self.confusion(tp, fp)
    }

    /// The threshold with the highest recall of those with at least this precision; then the
    /// highest precision. `None` where none has it.
    pub fn for_precision(&self, wanted: f64) -> Option<OperatingPoint> {
        let enough = self.steps.iter().filter(|step| step.precision() >= wanted);
        enough
            .max_by(|a, b| a.tp.cmp(&b.tp).then(b.fp.cmp(&a.fp)))
            .map(|step| self.operating_point(step))
    }

    /// The threshold with the highest precision of those with at least this recall; then the
    /// highest recall. `None` where nothing violates, or more than all is wanted.
    pub fn for_recall(&self, wanted: f64) -> Option<OperatingPoint> {
        let positives = self.positives as f64;
        let enough = self.steps.iter().filter(|step| step.tp as f64 / positives >= wanted);
        enough
            .max_by(|a, b| a.precision().total_cmp(&b.precision()).then(a.tp.cmp(&b.tp)))
            .map(|step| self.operating_point(step))
    }

    fn operating_point(&self, step: &Step) -> OperatingPoint {
        OperatingPoint { threshold: step.threshold, confusion: self.confusion(step.tp, step.fp) }
    }

    fn confusion(&self, tp: u64, fp: u64) -> Confusion {
        let (tn, fn_) = (self.negatives - fp, self.positives - tp);
        Confusion { tp, fp, tn, fn_, ..Confusion::default() }
    }
}

impl Step {
    /// A step holds at least one content.
    fn precision(&self) -> f64 {
        self.tp as f64 / (self.tp + self.fp) as f64
    }
}
