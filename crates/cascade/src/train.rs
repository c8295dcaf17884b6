//! From labelled rows to a filter: folds, the choice of the cost, and the report on rows not seen.

use std::collections::HashMap;

use policy::PolicyRef;
use policy::eval::{Curve, Scored, SplitMix};
use serde::{Deserialize, Serialize};

use crate::encoder::Encoder;
use crate::error::CascadeError;
use crate::features::FeatureShape;
use crate::filter::{About, Filter, logistic, print};
use crate::head::Head;
use crate::linear::{FitSettings, Linear, Target, fit};
use crate::prints::Prints;
use crate::reads::{DenseSource, Reads};
use crate::table::Table;

/// Most bytes of weights, so that the file stays below 8 MiB with a quarter of a million rows.
const MAX_WEIGHTS: usize = 7 << 20;
/// Fewest rows of each side that a label can be trained on: below, folds have none to test with.
pub const MIN_SIDE: usize = 10;

/// A text and what is known of its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// As it came.
    pub text: String,
    /// One a label, in the order of the labels; `None` is unknown.
    pub truths: Vec<Option<bool>>,
    /// How much it counts; 1 for an ordinary row.
    pub weight: f64,
}

/// How a filter is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainSettings {
    /// Orders rows and makes folds.
    pub seed: u64,
    /// Folds of the cross-validation, at least 2.
    pub n_folds: usize,
    /// Costs to choose from by average precision on rows not seen; see [`FitSettings::cost`].
    pub costs: Vec<f64>,
    /// Lengths of the vectors beside the n-grams to choose from likewise, if there are vectors; powers of 2.
    pub dense_scales: Vec<f64>,
    /// How much a positive counts beside a negative; `None` lets both sides weigh the same.
    pub positive_weight: Option<f64>,
}

/// What a filter is to read; n-grams alone by default.
#[derive(Clone)]
pub struct Reading<'a> {
    /// Whether it reads n-grams.
    pub ngrams: bool,
    /// What makes its vectors, if it reads any.
    pub encoder: Option<&'a dyn Encoder>,
    /// Where the encoder can be found again; a hint for people and programs.
    pub place: Option<String>,
}

impl Default for Reading<'_> {
    fn default() -> Self {
        Reading { ngrams: true, encoder: None, place: None }
    }
}

impl Reading<'_> {
    fn reads(&self, n_labels: usize) -> Result<Reads, CascadeError> {
        let dense = self.encoder.map(|encoder| DenseSource {
            identity: encoder.identity().to_owned(),
            n_dims: encoder.n_dims(),
            place: self.place.clone(),
        });
        let too_many = CascadeError::TooManyLabels { n_labels };
        let n_dense = dense.as_ref().map_or(0, |dense| dense.n_dims.saturating_mul(4 * n_labels));
        let Some(room) = MAX_WEIGHTS.checked_sub(n_dense) else { return Err(too_many) };
        let ngrams = match FeatureShape::fitting(n_labels, room) {
            None if self.ngrams => return Err(too_many),
            shape => shape.filter(|_| self.ngrams),
        };
        let reads = Reads { ngrams, dense };
        if reads.is_sound() { Ok(reads) } else { Err(CascadeError::ReadsNothing) }
    }
}

impl Default for TrainSettings {
    fn default() -> TrainSettings {
        TrainSettings {
            seed: 0,
            n_folds: 5,
            costs: vec![1.0, 4.0, 16.0],
            dense_scales: vec![1.0, 2.0, 4.0],
            positive_weight: Some(1.0),
        }
    }
}

/// How the training went, kept in the filter's file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingReport {
    /// Rows read.
    pub n_rows: usize,
    /// The seed.
    pub seed: u64,
    /// Folds of the cross-validation.
    pub n_folds: usize,
    /// One a label.
    pub labels: Vec<LabelReport>,
}

/// One label, on rows that the scoring fit did not see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelReport {
    /// Its name.
    pub label: String,
    /// Rows that have it.
    pub n_positives: usize,
    /// Rows known not to have it.
    pub n_negatives: usize,
    /// The chosen cost.
    pub cost: f64,
    /// The chosen length of vectors, if the filter reads any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dense_scale: Option<f64>,
    /// Area under precision over recall.
    pub average_precision: Option<f64>,
    /// Area under the ROC curve.
    pub auroc: Option<f64>,
    /// Recall where the highest-scored 10, 20 and 30 % of the rows are passed on.
    pub recall_passing: [Option<f64>; 3],
    /// Share of the rows to pass on for a recall of 0.95 here; a description, no promise.
    pub passing_for_95: Option<f64>,
}

/// What a training is at, and how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stretch {
    /// Texts are turned into vectors.
    Encoding,
    /// Lines are fitted.
    Fitting,
}

/// A row's score by a fit that did not see it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldOutScore {
    /// Its place among the rows.
    pub row: usize,
    /// From 0 to 1.
    pub score: f64,
}

/// As [`train_and_score`], the filter alone.
///
/// # Errors
/// As there.
pub fn train(
    rows: &[Row],
    labels: &[String],
    policy: Option<PolicyRef>,
    reading: &Reading<'_>,
    settings: &TrainSettings,
    progress: impl FnMut(Stretch, usize, usize),
) -> Result<Filter, CascadeError> {
    Ok(train_and_score(rows, labels, policy, reading, settings, progress)?.0)
}

/// Trains one head a label; for each label come the scores of the rows that the scoring fit did not see, at
/// the chosen cost. `progress` is told what is being done, how much of it is done, and of how much.
///
/// # Errors
/// [`CascadeError::NoLabels`], [`CascadeError::TooFewRows`], [`CascadeError::TooManyLabels`],
/// [`CascadeError::ReadsNothing`]; with an encoder, [`CascadeError::Encode`] and [`CascadeError::Vectors`].
pub fn train_and_score(
    rows: &[Row],
    labels: &[String],
    policy: Option<PolicyRef>,
    reading: &Reading<'_>,
    settings: &TrainSettings,
    mut progress: impl FnMut(Stretch, usize, usize),
) -> Result<(Filter, Vec<Vec<HeldOutScore>>), CascadeError> {
    if labels.is_empty() {
        return Err(CascadeError::NoLabels);
    }
    let reads = reading.reads(labels.len())?;
    check_sides(rows, labels)?;
    let encoding = |n_done, n_all| progress(Stretch::Encoding, n_done, n_all);
    let mut table = Table::new(rows, &reads, reading.encoder, encoding)?;
    let scales = if table.standard.is_some() { settings.dense_scales.as_slice() } else { &[1.0] };
    let n_fits = labels.len() * (scales.len() * settings.costs.len() * settings.n_folds + 1);
    let mut n_done = 0;
    let mut one_more = || {
        n_done += 1;
        progress(Stretch::Fitting, n_done, n_fits);
    };
    let n_slots = reads.n_slots() + reads.n_dims();
    let (mut heads, mut reports, mut scores) = (Vec::new(), Vec::new(), Vec::new());
    for (at, label) in labels.iter().enumerate() {
        let mut training = Training { table: &mut table, rows, at, n_slots, scales, settings };
        let (head, report, held_out) = training.run(label, &mut one_more);
        heads.push(Head::new(&head, reads.n_slots(), table.standard.as_ref()));
        reports.push(report);
        scores.push(held_out);
    }
    let training = TrainingReport {
        n_rows: rows.len(),
        seed: settings.seed,
        n_folds: settings.n_folds,
        labels: reports,
    };
    let about = About {
        policy,
        labels: labels.to_vec(),
        reads,
        training,
        calibration: None,
        proven_on: Prints::default(),
        decides: None,
    };
    Ok((Filter::new(about, heads, rows.iter().map(|row| row.text.as_str())), scores))
}

fn check_sides(rows: &[Row], labels: &[String]) -> Result<(), CascadeError> {
    for (at, label) in labels.iter().enumerate() {
        let n_side = |side| rows.iter().filter(|row| row.truths[at] == Some(side)).count();
        let (n_positives, n_negatives) = (n_side(true), n_side(false));
        if n_positives.min(n_negatives) < MIN_SIDE {
            return Err(CascadeError::TooFewRows {
                label: label.clone(),
                n_positives,
                n_negatives,
            });
        }
    }
    Ok(())
}

/// One label's training.
struct Training<'a> {
    table: &'a mut Table,
    rows: &'a [Row],
    at: usize,
    n_slots: usize,
    scales: &'a [f64],
    settings: &'a TrainSettings,
}

/// Settings of a fit and how they did on rows not seen.
#[derive(Default)]
struct Choice {
    scale: f64,
    cost: f64,
    precision: Option<f64>,
    held_out: Vec<(usize, Scored)>,
}

/// A row that the label is known of.
#[derive(Clone, Copy)]
struct Known {
    row: usize,
    truth: bool,
    fold: usize,
}

impl Training<'_> {
    fn run(
        &mut self,
        label: &str,
        one_more: &mut impl FnMut(),
    ) -> (Linear, LabelReport, Vec<HeldOutScore>) {
        let known = self.known();
        let mut best: Option<Choice> = None;
        for &scale in self.scales {
            self.table.set_scale(scale);
            for &cost in &self.settings.costs {
                let held_out = self.out_of_fold(&known, cost, one_more);
                let scored: Vec<Scored> = held_out.iter().map(|one| one.1).collect();
                let precision = Curve::new(&scored).average_precision();
                if best.as_ref().is_none_or(|before| precision > before.precision) {
                    best = Some(Choice { scale, cost, precision, held_out });
                }
            }
        }
        let best = best.unwrap_or_default();
        self.table.set_scale(best.scale);
        let head = self.fit(&known, best.cost, None);
        one_more();
        let dense_scale = self.table.standard.as_ref().map(|_| best.scale);
        let scored: Vec<Scored> = best.held_out.iter().map(|one| one.1).collect();
        let report = LabelReport { dense_scale, ..report(label, best.cost, &scored) };
        let held_out = best.held_out.iter();
        let held_out = held_out.map(|(row, one)| HeldOutScore { row: *row, score: one.score() });
        (self.table.unscaled(head), report, held_out.collect())
    }

    /// Rows of either side spread evenly over the folds; texts with one normal form share a fold.
    fn known(&self) -> Vec<Known> {
        let mut random = SplitMix::new(self.settings.seed ^ 0x666f_6c64);
        let (mut known, mut fold_of) = (Vec::new(), HashMap::new());
        for side in [true, false] {
            let truth = |row: &usize| self.rows[*row].truths[self.at] == Some(side);
            let mut of_side: Vec<usize> = (0..self.rows.len()).filter(truth).collect();
            random.shuffle(&mut of_side);
            let folds = (0..self.settings.n_folds).cycle();
            for (row, next) in of_side.into_iter().zip(folds) {
                let fold = *fold_of.entry(print(&self.rows[row].text)).or_insert(next);
                known.push(Known { row, truth: side, fold });
            }
        }
        known
    }

    fn out_of_fold(
        &self,
        known: &[Known],
        cost: f64,
        one_more: &mut impl FnMut(),
    ) -> Vec<(usize, Scored)> {
        let mut scored = Vec::new();
        for fold in 0..self.settings.n_folds {
            let head = self.fit(known, cost, Some(fold));
            let held_out = known.iter().filter(|one| one.fold == fold);
            scored.extend(held_out.filter_map(|one| {
                let score = logistic(self.table.margin(&head, one.row));
                Some((one.row, Scored::new(one.truth, score)?))
            }));
            one_more();
        }
        scored
    }

    /// Fits all known rows but those of one fold. A row's windows share its weight.
    fn fit(&self, known: &[Known], cost: f64, without: Option<usize>) -> Linear {
        let n_side = |side| known.iter().filter(|one| one.truth == side).count().max(1) as f64;
        let balance = n_side(false) / n_side(true);
        let positive = self.settings.positive_weight.unwrap_or(balance);
        let mut targets = Vec::new();
        for one in known.iter().filter(|one| Some(one.fold) != without) {
            let windows = self.table.windows(one.row);
            let side = if one.truth { positive } else { 1.0 };
            let weight = side * self.rows[one.row].weight / windows.len().max(1) as f64;
            targets.extend(windows.map(|row| Target { row, is_positive: one.truth, weight }));
        }
        let settings = FitSettings { cost, seed: self.settings.seed, ..FitSettings::default() };
        fit(&self.table.joined, &targets, self.n_slots, &settings)
    }
}

fn report(label: &str, cost: f64, scored: &[Scored]) -> LabelReport {
    let curve = Curve::new(scored);
    let n_positives = scored.iter().filter(|one| one.truth()).count();
    LabelReport {
        label: label.to_owned(),
        n_positives,
        n_negatives: scored.len() - n_positives,
        cost,
        dense_scale: None,
        average_precision: curve.average_precision(),
        auroc: curve.auroc(),
        recall_passing: [0.1, 0.2, 0.3].map(|share| recall_passing(scored, share)),
        passing_for_95: passing_for(scored, 0.95),
    }
}

/// Recall where the `share` of the rows with the highest scores is passed on.
pub fn recall_passing(scored: &[Scored], share: f64) -> Option<f64> {
    let sorted = by_falling_score(scored);
    let n_passed = (share * sorted.len() as f64).round() as usize;
    let n_positives = sorted.iter().filter(|one| one.truth()).count();
    let n_caught = sorted.iter().take(n_passed).filter(|one| one.truth()).count();
    (n_positives > 0).then(|| n_caught as f64 / n_positives as f64)
}

/// The share of the rows that score as high as the positive at which `recall` is reached.
pub fn passing_for(scored: &[Scored], recall: f64) -> Option<f64> {
    let sorted = by_falling_score(scored);
    let n_positives = sorted.iter().filter(|one| one.truth()).count();
    let wanted = (recall * n_positives as f64).ceil() as usize;
    let last = sorted.iter().filter(|one| one.truth()).nth(wanted.checked_sub(1)?)?;
    let n_passed = sorted.iter().filter(|one| one.score() >= last.score()).count();
    Some(n_passed as f64 / sorted.len() as f64)
}

fn by_falling_score(scored: &[Scored]) -> Vec<Scored> {
    let mut sorted = scored.to_vec();
    sorted.sort_by(|a, b| b.score().total_cmp(&a.score()));
    sorted
}
