//! Where a classifier judges better than the reasoner, and the band of scores outside which it may decide.
//!
//! Half of the rows choose, the other half confirms: a threshold at which the classifier alone is
//! compared with the reasoner, and two edges. Above the upper one it says `violation`, below the lower
//! one `clear`, in between the reasoner is asked. An edge is chosen where the share of right answers
//! beyond it is at least the reasoner's (its precision above, the share of truly clear items among its
//! clear ones below) by a bound at [`CHOOSING`]; on the other half the same must hold by an exact bound
//! at the confidence asked for. Since nothing is chosen there, that bound is what it says.
//!
//! Rows that the reasoner left undetermined are left out: a promotion does not rest on its failures.

use policy::eval::{Bootstrap, Confusion, Interval, Level, Rate, Share, SplitMix, mcnemar};
use serde::{Deserialize, Serialize};

use crate::error::CascadeError;
use crate::filter::Filter;

/// Fewest rows with verdicts, both halves together.
const MIN_ROWS: usize = 100;
/// Fewest rows of each truth.
const MIN_SIDE: usize = 20;
/// The bound by which an edge is chosen: stricter than the one that confirms it, since the best of many
/// edges looks better than it is.
const CHOOSING: f64 = 0.99;
/// What the share of right answers must reach on a side of which the reasoner said nothing.
const WITHOUT_REASONER: f64 = 0.5;

/// A labelled row that classifier and reasoner both judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contest {
    /// Whether it is a violation.
    pub truth: bool,
    /// The classifier's score, 0 to 1.
    pub score: f64,
    /// What the reasoner says; `None` where undetermined.
    pub reasoner: Option<bool>,
}

/// Scores outside of which a classifier decides by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Promotion {
    /// Below it: clear. `None` where the classifier clears nothing by itself.
    pub low: Option<f64>,
    /// From it on: violation. `None` where it calls nothing a violation by itself.
    pub high: Option<f64>,
    /// Of the bounds that confirmed the edges.
    pub confidence: f64,
    /// Rows that confirmed.
    pub n_rows: u64,
    /// The model that it was compared with.
    pub reasoner: String,
}

/// What becomes of a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// Below the threshold with the proven recall: clear.
    Stopped,
    /// Clear by the classifier's own word.
    Clear,
    /// A violation by the classifier's own word.
    Violation,
    /// The reasoner decides.
    PassedOn,
}

/// One edge, on the rows that did not choose it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Edge {
    /// The score.
    pub at: f64,
    /// Rows beyond it.
    pub n_decided: u64,
    /// Of these, the share that the classifier has right.
    pub right: Option<f64>,
    /// The exact lower bound of that share.
    pub bound: f64,
    /// The reasoner's share of right answers on this side, which the bound must reach.
    pub reasoner: f64,
    /// Whether it does.
    pub is_confirmed: bool,
}

/// A classifier beside a reasoner, on rows that chose nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Rows that chose, and rows that confirmed.
    pub n_rows: (usize, usize),
    /// Rows left out, as the reasoner did not decide them.
    pub n_undetermined: usize,
    /// The score from which the classifier alone says violation, by the best F1 of the rows that chose.
    pub threshold: f64,
    /// The classifier alone.
    pub classifier: Confusion,
    /// The reasoner.
    pub reasoner: Confusion,
    /// The classifier's F1 less the reasoner's: paired bootstrap.
    pub f1_difference: Option<Interval>,
    /// The same of the balanced accuracy.
    pub balanced_difference: Option<Interval>,
    /// McNemar's exact p-value of the rows that one has right and the other wrong.
    pub p_value: f64,
    /// Below it the classifier says clear.
    pub low: Option<Edge>,
    /// From it on the classifier says violation.
    pub high: Option<Edge>,
    /// Of the violations that the reasoner finds, the share at or above the lower edge: what an audit by
    /// this reasoner will see.
    pub recall_of_reasoner: Option<f64>,
}

impl Comparison {
    /// Whether the classifier is better on both measures, their intervals above 0.
    pub fn is_better(&self) -> bool {
        let is_above = |range: Option<Interval>| range.is_some_and(|range| range.low > 0.0);
        is_above(self.f1_difference) && is_above(self.balanced_difference)
    }

    /// What the classifier may decide; `None` where it is not better, or no edge was confirmed.
    pub fn promotion(&self, confidence: Level, reasoner: &str) -> Option<Promotion> {
        let confirmed = |edge: Option<Edge>| edge.filter(|edge| edge.is_confirmed).map(|it| it.at);
        let (low, high) = (confirmed(self.low), confirmed(self.high));
        (self.is_better() && (low.is_some() || high.is_some())).then(|| Promotion {
            low,
            high,
            confidence: confidence.value(),
            n_rows: self.n_rows.1 as u64,
            reasoner: reasoner.to_owned(),
        })
    }
}

impl Filter {
    /// What becomes of an item with this score.
    pub fn ruling(&self, score: f64) -> Ruling {
        if !self.passes(score) {
            return Ruling::Stopped;
        }
        let Some(decides) = &self.about.decides else { return Ruling::PassedOn };
        if decides.low.is_some_and(|low| score < low) {
            Ruling::Clear
        } else if decides.high.is_some_and(|high| score >= high) {
            Ruling::Violation
        } else {
            Ruling::PassedOn
        }
    }
}

/// Compares classifier and reasoner. The seed splits the rows and draws the bootstrap.
///
/// # Errors
/// [`CascadeError::Contest`] for fewer than 100 rows with a verdict, or fewer than 20 of either truth.
pub fn compare(rows: &[Contest], confidence: Level, seed: u64) -> Result<Comparison, CascadeError> {
    let mut decided: Vec<Contest> =
        rows.iter().filter(|row| row.reasoner.is_some()).copied().collect();
    check(&decided)?;
    SplitMix::new(seed).shuffle(&mut decided);
    let (choosing, confirming) = decided.split_at(decided.len() / 2);
    let threshold = best_threshold(choosing);
    let classifier = |row: &Contest| Some(row.score >= threshold);
    let bootstrap = Bootstrap { seed, level: confidence, ..Bootstrap::default() };
    let difference = |measure: fn(&Confusion) -> Option<f64>| {
        let between = |set: &[&Contest]| {
            let ours = counted(set.iter().copied(), classifier);
            Some(measure(&ours)? - measure(&counted(set.iter().copied(), |row| row.reasoner))?)
        };
        bootstrap.interval(confirming, between).map(|resampled| resampled.interval)
    };
    let is_right = |said: Option<bool>, row: &Contest| said == Some(row.truth);
    let n_only = |ours: bool| {
        let is_so = |row: &&Contest| {
            let (a, b) = (is_right(classifier(row), row), is_right(row.reasoner, row));
            a != b && a == ours
        };
        confirming.iter().filter(is_so).count() as u64
    };
    let (low, high) = edges(choosing, threshold);
    Ok(Comparison {
        n_rows: (choosing.len(), confirming.len()),
        n_undetermined: rows.len() - decided.len(),
        threshold,
        classifier: counted(confirming, classifier),
        reasoner: counted(confirming, |row| row.reasoner),
        f1_difference: difference(Confusion::f1),
        balanced_difference: difference(Confusion::balanced_accuracy),
        p_value: mcnemar(n_only(true), n_only(false)),
        low: low.map(|at| edge(confirming, Beyond::Below(at), confidence)),
        high: high.map(|at| edge(confirming, Beyond::From(at), confidence)),
        recall_of_reasoner: low.and_then(|low| {
            let found = confirming.iter().filter(|row| row.reasoner == Some(true));
            Share::count(found.map(|row| row.score >= low)).value()
        }),
    })
}

fn check(rows: &[Contest]) -> Result<(), CascadeError> {
    let n_positives = rows.iter().filter(|row| row.truth).count();
    let n_negatives = rows.len() - n_positives;
    if let Some(at) = rows.iter().position(|row| !row.score.is_finite()) {
        return Err(CascadeError::Score { index: at, score: rows[at].score });
    }
    if rows.len() < MIN_ROWS || n_positives.min(n_negatives) < MIN_SIDE {
        let problem = format!(
            "{n_positives} violations and {n_negatives} clear rows have a verdict of the reasoner; at least {MIN_SIDE} of each and {MIN_ROWS} in all are needed"
        );
        return Err(CascadeError::Contest { problem });
    }
    Ok(())
}

fn counted<'a>(
    rows: impl IntoIterator<Item = &'a Contest>,
    said: impl Fn(&Contest) -> Option<bool>,
) -> Confusion {
    rows.into_iter().map(|row| (row.truth, said(row))).collect()
}

/// The score with the best F1, the highest of equals.
fn best_threshold(rows: &[Contest]) -> f64 {
    let sorted = by_falling_score(rows);
    let n_positives = rows.iter().filter(|row| row.truth).count() as f64;
    let (mut best, mut best_f1, mut n_hits) = (f64::MAX, -1.0, 0.0);
    for (at, row) in sorted.iter().enumerate() {
        n_hits += f64::from(u8::from(row.truth));
        let is_last_of_ties = sorted.get(at + 1).is_none_or(|next| next.score < row.score);
        let f1 = 2.0 * n_hits / (at as f64 + 1.0 + n_positives);
        if is_last_of_ties && f1 > best_f1 {
            (best, best_f1) = (row.score, f1);
        }
    }
    best
}

fn by_falling_score(rows: &[Contest]) -> Vec<Contest> {
    let mut sorted = rows.to_vec();
    sorted.sort_by(|a, b| b.score.total_cmp(&a.score));
    sorted
}

/// The edges that leave least to the reasoner; they do not cross the threshold.
fn edges(rows: &[Contest], threshold: f64) -> (Option<f64>, Option<f64>) {
    let level = Level::new(CHOOSING).expect("a constant below 1");
    let reasoner = counted(rows, |row| row.reasoner);
    let falling = by_falling_score(rows);
    let rising: Vec<Contest> = falling.iter().rev().copied().collect();
    let n_high = furthest(&falling, true, target(&reasoner, true), level);
    let n_low = furthest(&rising, false, target(&reasoner, false), level);
    let high = n_high.map(|n| falling[n - 1].score.max(threshold));
    // The first score that is not cleared; where all are, none is asked about, so nothing is proven.
    let low = n_low.and_then(|n| rising.get(n)).map(|row| row.score.min(threshold));
    (low, high)
}

/// How many rows from the start, ties kept together, can be decided as `says` with a bound of at least
/// `target`.
fn furthest(rows: &[Contest], says: bool, target: f64, level: Level) -> Option<usize> {
    let (mut n_right, mut most) = (0, None);
    for (at, row) in rows.iter().enumerate() {
        n_right += u64::from(row.truth == says);
        let is_last_of_ties = rows.get(at + 1).is_none_or(|next| next.score != row.score);
        let share = Share::new(n_right, at as u64 + 1).unwrap_or_default();
        // The bound lies below the share itself, which is quicker to look at.
        let may_be = share.value().is_some_and(|value| value >= target);
        if is_last_of_ties && may_be && share.lower_bound(level) >= target {
            most = Some(at + 1);
        }
    }
    most
}

/// The reasoner's share of right answers on one side.
fn target(reasoner: &Confusion, is_violation: bool) -> f64 {
    let share = if is_violation {
        reasoner.share(Rate::Precision).value()
    } else {
        Share::new(reasoner.tn, reasoner.tn + reasoner.fn_).and_then(Share::value)
    };
    share.unwrap_or(WITHOUT_REASONER)
}

/// The scores beyond an edge.
#[derive(Clone, Copy)]
enum Beyond {
    Below(f64),
    From(f64),
}

fn edge(rows: &[Contest], beyond: Beyond, confidence: Level) -> Edge {
    let (at, says) = match beyond {
        Beyond::Below(at) => (at, false),
        Beyond::From(at) => (at, true),
    };
    let decided = rows.iter().filter(|row| (row.score >= at) == says);
    let share = Share::count(decided.map(|row| row.truth == says));
    let (bound, reasoner) =
        (share.lower_bound(confidence), target(&counted(rows, |row| row.reasoner), says));
    Edge {
        at,
        n_decided: share.of(),
        right: share.value(),
        bound,
        reasoner,
        is_confirmed: share.of() > 0 && bound >= reasoner,
    }
}

/// A promotion as it stands in a file.
#[derive(Deserialize)]
struct Unchecked {
    low: Option<f64>,
    high: Option<f64>,
    confidence: f64,
    n_rows: u64,
    reasoner: String,
}

impl TryFrom<Unchecked> for Promotion {
    type Error = CascadeError;

    fn try_from(unchecked: Unchecked) -> Result<Promotion, CascadeError> {
        let Unchecked { low, high, confidence, n_rows, reasoner } = unchecked;
        let is_crossed = low.zip(high).is_some_and(|(low, high)| low > high);
        if is_crossed || (low.is_none() && high.is_none()) || Level::new(confidence).is_none() {
            return Err(CascadeError::Damaged { part: "band" });
        }
        Ok(Promotion { low, high, confidence, n_rows, reasoner })
    }
}
