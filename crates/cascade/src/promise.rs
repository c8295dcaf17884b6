//! A recall promised at a confidence, and how many positives it takes to keep it.
//!
//! The one calculation here is the choice of an order statistic; why it proves a recall stands at the
//! head of `calibrate.rs`.

use policy::eval::{Level, Share};
use serde::{Deserialize, Serialize};

use crate::error::CascadeError;

/// The highest recall that can be promised. It takes about three million positives; nearer to 1, the
/// rounding of the exact bound would come near to what one more positive adds.
pub const MAX_RECALL: f64 = 0.999_999;

/// "Of the items that violate, at least `recall` are passed on", with probability `confidence` over
/// the draw of the calibration data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Promise {
    recall: f64,
    confidence: Level,
}

/// A promise as it stands in a file.
#[derive(Deserialize)]
struct Unchecked {
    recall: f64,
    confidence: f64,
}

impl Promise {
    /// Both are shares, not per cent.
    ///
    /// # Errors
    /// [`CascadeError::Recall`] unless `recall` is above 0 and at most [`MAX_RECALL`].
    pub fn new(recall: f64, confidence: Level) -> Result<Promise, CascadeError> {
        if recall > 0.0 && recall <= MAX_RECALL {
            Ok(Promise { recall, confidence })
        } else {
            Err(CascadeError::Recall { recall })
        }
    }

    /// The least share of violating items that is passed on.
    pub fn recall(self) -> f64 {
        self.recall
    }

    /// How sure it is.
    pub fn confidence(self) -> Level {
        self.confidence
    }

    /// The largest `k` for which the `k`-th smallest of `n_positives` scores, taken as threshold,
    /// keeps the promise; `None` where even the smallest does not.
    ///
    /// The work grows as the square root of `n_positives`, times its logarithm.
    pub fn order(self, n_positives: u64) -> Option<u64> {
        let keeps = |k: u64| self.proven_recall(n_positives, k) >= self.recall;
        if n_positives == 0 || !keeps(1) {
            return None;
        }
        // `last` keeps the promise and `beyond` does not: a confidence of one half or more holds `k`
        // to the median of `Bin(n, 1 - r)`, which lies within 1 of its mean.
        let mean = n_positives as f64 * (1.0 - self.recall);
        let (mut last, mut beyond) = (1, (mean as u64 + 3).min(n_positives + 1));
        while beyond - last > 1 {
            let middle = last + (beyond - last) / 2;
            if keeps(middle) { last = middle } else { beyond = middle }
        }
        Some(last)
    }

    /// The fewest positives that can prove the recall, all of them passed on: `recall^n` must not
    /// exceed `1 - confidence`.
    pub fn positives_needed(self) -> u64 {
        let estimate = (1.0 - self.confidence.value()).ln() / self.recall.ln();
        let below = (estimate.floor() as u64).saturating_sub(1).max(1);
        (below..)
            .find(|&n| self.order(n).is_some())
            .expect("enough positives prove any recall below 1")
    }

    /// The recall that the `k`-th smallest of `n_positives` scores proves: the lower bound of Clopper
    /// and Pearson (1934) for `n_positives - k + 1` hits, and 0 if `k` is larger than `n_positives`.
    pub(crate) fn proven_recall(self, n_positives: u64, k: u64) -> f64 {
        Share::new((n_positives + 1).saturating_sub(k), n_positives)
            .map_or(0.0, |hits| hits.lower_bound(self.confidence))
    }
}

impl TryFrom<Unchecked> for Promise {
    type Error = CascadeError;

    fn try_from(unchecked: Unchecked) -> Result<Promise, CascadeError> {
        let confidence = Level::new(unchecked.confidence)
            .ok_or(CascadeError::Confidence { confidence: unchecked.confidence })?;
        Promise::new(unchecked.recall, confidence)
    }
}
