//! Verdicts against golden outcomes: the four counts, what was left undetermined, and the measures
//! made from them.

use std::fmt;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

use super::share::Share;

/// How many verdicts were right and wrong; violation is the positive side.
///
/// Undetermined verdicts are counted apart by what they should have been and enter no measure but
/// [`Rate::Determined`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Violations called violations.
    pub tp: u64,
    /// Clear contents called violations.
    pub fp: u64,
    /// Clear contents called clear.
    pub tn: u64,
    /// Violations called clear; `fn` in JSON.
    #[serde(rename = "fn")]
    pub fn_: u64,
    /// Violations without a verdict.
    pub undetermined_positive: u64,
    /// Clear contents without a verdict.
    pub undetermined_negative: u64,
}

/// A measure that is a share of the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rate {
    /// Of what was called a violation, how much is one.
    Precision,
    /// Of the violations with a verdict, how many were called so.
    Recall,
    /// Of the clear contents with a verdict, how many were called so.
    Specificity,
    /// Of all verdicts, how many are right.
    Accuracy,
    /// Of all contents, how many got a verdict.
    Determined,
}

impl Rate {
    /// All of them.
    pub const ALL: [Rate; 5] =
        [Rate::Precision, Rate::Recall, Rate::Specificity, Rate::Accuracy, Rate::Determined];
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rate::Precision => "precision",
            Rate::Recall => "recall",
            Rate::Specificity => "specificity",
            Rate::Accuracy => "accuracy",
            Rate::Determined => "determined",
        })
    }
}

impl Confusion {
    /// Counts one content: whether it violates, and whether it was called so, `None` where the
    /// verdict is undetermined.
    pub fn record(&mut self, truth: bool, predicted: Option<bool>) {
        let count = match (truth, predicted) {
            (true, Some(true)) => &mut self.tp,
            (false, Some(true)) => &mut self.fp,
            (false, Some(false)) => &mut self.tn,
            (true, Some(false)) => &mut self.fn_,
            (true, None) => &mut self.undetermined_positive,
            (false, None) => &mut self.undetermined_negative,
        };
        *count = count.saturating_add(1);
    }

    /// Violations with a verdict.
    pub fn positives(&self) -> u64 {
        self.tp.saturating_add(self.fn_)
    }

    /// Clear contents with a verdict.
    pub fn negatives(&self) -> u64 {
        self.tn.saturating_add(self.fp)
    }

    /// Contents with a verdict.
    pub fn determined(&self) -> u64 {
        self.positives().saturating_add(self.negatives())
    }

    /// Contents without one.
    pub fn undetermined(&self) -> u64 {
        self.undetermined_positive.saturating_add(self.undetermined_negative)
    }

    /// A measure as counts, which is what intervals are made from.
    pub fn share(&self, rate: Rate) -> Share {
        match rate {
            Rate::Precision => Share::of_both(self.tp, self.fp),
            Rate::Recall => Share::of_both(self.tp, self.fn_),
            Rate::Specificity => Share::of_both(self.tn, self.fp),
            Rate::Accuracy => {
                let (right, wrong) =
                    (self.tp.saturating_add(self.tn), self.fp.saturating_add(self.fn_));
                Share::of_both(right, wrong)
            }
            Rate::Determined => Share::of_both(self.determined(), self.undetermined()),
        }
    }

    /// `tp / (tp + fp)`; `None` where nothing was called a violation.
    pub fn precision(&self) -> Option<f64> {
        self.share(Rate::Precision).value()
    }

    /// `tp / (tp + fn)`; `None` where nothing violates.
    pub fn recall(&self) -> Option<f64> {
        self.share(Rate::Recall).value()
    }

    /// `tn / (tn + fp)`; `None` where everything violates.
    pub fn specificity(&self) -> Option<f64> {
        self.share(Rate::Specificity).value()
    }

    /// `(tp + tn) / (tp + fp + tn + fn)`; `None` without verdicts.
    pub fn accuracy(&self) -> Option<f64> {
        self.share(Rate::Accuracy).value()
    }

    /// `2 tp / (2 tp + fp + fn)`, the harmonic mean of precision and recall; `None` where there is
    /// neither a violation nor a call of one.
    pub fn f1(&self) -> Option<f64> {
        let twice = 2.0 * self.tp as f64;
        quotient(twice, twice + self.fp as f64 + self.fn_ as f64)
    }

    /// The mean of recall and specificity; `None` where one of the sides is empty.
    pub fn balanced_accuracy(&self) -> Option<f64> {
        Some((self.recall()? + self.specificity()?) / 2.0)
    }

    /// Agreement beyond chance, from -1 to 1: Cohen (1960). `None` where chance alone would agree
    /// always.
    pub fn kappa(&self) -> Option<f64> {
        let [tp, fp, tn, fn_] = [self.tp, self.fp, self.tn, self.fn_].map(|count| count as f64);
        // (observed - expected) / (1 - expected), multiplied out for two classes.
        let by_chance = (tp + fp) * (fp + tn) + (tp + fn_) * (fn_ + tn);
        quotient(2.0 * (tp * tn - fp * fn_), by_chance)
    }
}

fn quotient(above: f64, below: f64) -> Option<f64> {
    (below > 0.0).then(|| above / below)
}

impl FromIterator<(bool, Option<bool>)> for Confusion {
    /// Pairs of truth and prediction, as in [`Confusion::record`].
    fn from_iter<I: IntoIterator<Item = (bool, Option<bool>)>>(pairs: I) -> Confusion {
        let mut confusion = Confusion::default();
        for (truth, predicted) in pairs {
            confusion.record(truth, predicted);
        }
        confusion
    }
}

impl Add for Confusion {
    type Output = Confusion;

    fn add(self, other: Confusion) -> Confusion {
        Confusion {
            tp: self.tp.saturating_add(other.tp),
            fp: self.fp.saturating_add(other.fp),
            tn: self.tn.saturating_add(other.tn),
            fn_: self.fn_.saturating_add(other.fn_),
            undetermined_positive: self
                .undetermined_positive
                .saturating_add(other.undetermined_positive),
            undetermined_negative: self
                .undetermined_negative
                .saturating_add(other.undetermined_negative),
        }
    }
}

impl AddAssign for Confusion {
    fn add_assign(&mut self, other: Confusion) {
        *self = *self + other;
    }
}
