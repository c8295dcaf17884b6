//! Where a filter's threshold has to lie so that a promised recall holds.
//!
//! # Why the threshold may be chosen on the data that proves it
//!
//! An item passes on when its score is at or above the threshold. Take `n` positives that the filter
//! has not seen, drawn independently as those to come will be, and make the `k`-th smallest of their
//! scores the threshold `T`, with a `k` that depends on `n`, the promise `r` and the confidence `c`
//! alone. Then, whatever the distribution of the scores,
//!
//! > the true recall at `T` is at least `r` with probability at least `P(Bin(n, 1 - r) >= k)`.
//!
//! This is a one-sided tolerance limit: Wilks (1941), "Determination of sample sizes for setting
//! tolerance limits". The argument, with ties and steps in the distribution allowed:
//!
//! 1. Write `R(t) = P(score >= t)` for the recall at threshold `t`. It falls as `t` rises and is
//!    continuous from the left, so of the thresholds with `R(t) >= r` there is a highest, `q`. Hence
//!    `R(T) >= r` exactly when `T <= q`.
//! 2. `T <= q` exactly when at least `k` of the `n` scores are at or below `q`. Each is so with the
//!    probability `P(score <= q) = 1 - P(score > q)`.
//! 3. Every threshold above `q` has a recall below `r`, so in the limit `P(score > q) <= r`, and each
//!    score is at or below `q` with a probability of `1 - r` or more. The number of those that are is
//!    at least as large, in distribution, as `Bin(n, 1 - r)`. That is the claim.
//!
//! With a continuous distribution step 3 is an equality and the probability exact; ties can only add
//! to it. Had items passed on with a score strictly above the threshold, ties at `T` would break the
//! argument; so the comparison is `>=` wherever a filter decides.
//!
//! So `k` is the largest with `P(Bin(n, 1 - r) >= k) >= c`. Read from the other side, `n - k + 1` of
//! `n` positives pass (ties aside), and `P(Bin(n, r) >= n - k + 1) <= 1 - c` says that the exact lower
//! bound of Clopper and Pearson for that count is at least `r`. This bound is the proven recall: the
//! claim above holds for it in place of `r`, as it too depends on `n`, `k` and `c` alone. Positives
//! tied with the threshold pass as well, but must not enter the bound, for their number depends on
//! where the threshold came to lie.
//!
//! Not even `k = 1` is enough when `r^n > 1 - c`; then there are too few positives and nothing is
//! promised.
//!
//! The share of clear items passed on is measured on the same data without flattery, since the
//! threshold depends on the positives alone.

use policy::eval::{Curve, Scored};

use crate::error::CascadeError;
use crate::evidence::{Evidence, PromiseRow};
use crate::promise::Promise;

/// The promises shown in a table beside the one that was asked for.
const USUAL_RECALLS: [f64; 9] = [0.80, 0.90, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995];

/// Truths and scores, checked.
///
/// # Errors
/// [`CascadeError::Score`] with the place of the first score that is not finite.
pub fn scored(pairs: impl IntoIterator<Item = (bool, f64)>) -> Result<Vec<Scored>, CascadeError> {
    let check = |(index, (truth, score)): (usize, (bool, f64))| {
        Scored::new(truth, score).ok_or(CascadeError::Score { index, score })
    };
    pairs.into_iter().enumerate().map(check).collect()
}

/// Picks the highest threshold that keeps `promise`, from items that the filter was not trained on.
///
/// `base_rate` is the share of violating items in real traffic, where the data were gathered another
/// way; it only weighs the share passed on.
///
/// # Errors
/// [`CascadeError::TooFewPositives`] where no threshold can keep the promise, and
/// [`CascadeError::BaseRate`] where `base_rate` is no share.
pub fn calibrate(
    items: &[Scored],
    promise: Promise,
    base_rate: Option<f64>,
) -> Result<Evidence, CascadeError> {
    if let Some(base_rate) = base_rate.filter(|rate| !(0.0..=1.0).contains(rate)) {
        return Err(CascadeError::BaseRate { base_rate });
    }
    let data = Sorted::new(items);
    let chosen = data.row(promise).ok_or_else(|| too_few(data.n_positives(), promise))?;
    let table = USUAL_RECALLS
        .iter()
        .filter_map(|&recall| Promise::new(recall, promise.confidence()).ok())
        .filter_map(|promise| data.row(promise))
        .collect();
    Ok(Evidence {
        confidence: promise.confidence().value(),
        n_positives: data.n_positives(),
        n_negatives: items.len() as u64 - data.n_positives(),
        base_rate,
        chosen,
        table,
    })
}

fn too_few(n_positives: u64, promise: Promise) -> CascadeError {
    let needed = promise.positives_needed();
    CascadeError::TooFewPositives {
        found: n_positives,
        needed,
        more: needed.saturating_sub(n_positives),
        recall: promise.recall(),
        confidence: promise.confidence().value(),
    }
}

/// The calibration data, ready for one threshold after the other.
struct Sorted {
    /// The positives' scores, rising.
    positives: Vec<f64>,
    curve: Curve,
}

impl Sorted {
    fn new(items: &[Scored]) -> Sorted {
        let positives = items.iter().filter(|item| item.truth());
        let mut positives: Vec<f64> = positives.map(|item| item.score()).collect();
        positives.sort_by(f64::total_cmp);
        Sorted { positives, curve: Curve::new(items) }
    }

    fn n_positives(&self) -> u64 {
        self.positives.len() as u64
    }

    /// The threshold that keeps `promise`, and what it passes on; `None` where none keeps it.
    fn row(&self, promise: Promise) -> Option<PromiseRow> {
        let k = promise.order(self.n_positives())?;
        let threshold = self.positives[k as usize - 1];
        let passed = self.curve.confusion_at(threshold);
        Some(PromiseRow {
            recall: promise.recall(),
            k,
            proven_recall: promise.proven_recall(self.n_positives(), k),
            threshold,
            passed_positives: passed.tp,
            passed_negatives: passed.fp,
        })
    }
}
