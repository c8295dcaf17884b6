//! A filter: a small classifier for one policy version, with its threshold and what proves its recall.
//!
//! `score` is all that runs on traffic. The file is one header of JSON and one byte a weight; it is read
//! back only if every part of it is as it was written.

use policy::{Content, PolicyRef, hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::CascadeError;
use crate::evidence::Evidence;
use crate::features::{Feature, FeatureShape, Featuriser, Named, marks, named, windows};
use crate::linear::Linear;
use crate::prints::Prints;
use crate::promote::Promotion;
use crate::text::normalise;
use crate::train::TrainingReport;

/// Slots that share one scale.
pub(crate) const SCALE_SLOTS: usize = 256;

/// A trained filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// What is known about it.
    pub about: About,
    /// Sorted prints of the texts that training saw.
    pub(crate) seen: Vec<u32>,
    /// One a label, in the order of `about.labels`.
    pub(crate) heads: Vec<Head>,
}

/// What a filter's file says about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The policy that its labels stand for; `None` if it was trained on labels of no policy of ours.
    pub policy: Option<PolicyRef>,
    /// What its heads were trained to find.
    pub labels: Vec<String>,
    /// The features that it reads.
    pub shape: FeatureShape,
    /// How it was trained, and how it did on rows that the training did not see.
    pub training: TrainingReport,
    /// The threshold with what proves it; `None` until the filter is calibrated.
    pub calibration: Option<Evidence>,
    /// The texts that the calibration used.
    #[serde(default, skip_serializing_if = "Prints::is_empty")]
    pub proven_on: Prints,
    /// What it may decide by itself; `None` until it is promoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decides: Option<Promotion>,
}

/// Weights rounded to a byte.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Head {
    pub(crate) bias: f32,
    /// One for each [`SCALE_SLOTS`].
    pub(crate) scales: Vec<f32>,
    /// One a slot.
    pub(crate) weights: Vec<i8>,
}

/// What a filter says about a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FilterScore {
    /// From 0 to 1; of the head and window that find most.
    pub score: f64,
    /// Which head, by its place among the labels.
    pub label: usize,
    /// Which window of the normalised text.
    pub window: usize,
}

/// What one feature adds to a score, in log-odds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Contribution {
    /// The words or characters.
    pub feature: String,
    /// Above 0 towards passing on.
    pub log_odds: f64,
}

impl Filter {
    /// Rounds trained heads to bytes; `texts` are those that they were trained on.
    pub(crate) fn new<'a>(
        about: About,
        heads: &[Linear],
        texts: impl Iterator<Item = &'a str>,
    ) -> Filter {
        let mut seen: Vec<u32> = texts.map(print).collect();
        seen.sort_unstable();
        seen.dedup();
        Filter { about, seen, heads: heads.iter().map(Head::rounded).collect() }
    }

    /// Whether training saw this text, or one with the same normal form; wrong for one text in some
    /// tens of thousands that it did not see.
    pub fn has_seen(&self, raw: &str) -> bool {
        self.seen.binary_search(&print(raw)).is_ok()
    }

    /// The score of a raw text; 1 where nothing is left to read after normalising.
    pub fn score(&self, featuriser: &mut Featuriser, raw: &str) -> FilterScore {
        let (normalised, windows) = windows(raw);
        // What the filter cannot read, a model may.
        if normalised.text.is_empty() {
            return FilterScore { score: 1.0, label: 0, window: 0 };
        }
        let marks = marks(&normalised);
        let mut best = FilterScore { score: f64::NEG_INFINITY, label: 0, window: 0 };
        for (window, range) in windows.into_iter().enumerate() {
            let features = featuriser.window(&normalised.text[range], &marks);
            for (label, head) in self.heads.iter().enumerate() {
                let margin = head.margin(features);
                if margin > best.score {
                    best = FilterScore { score: margin, label, window };
                }
            }
        }
        FilterScore { score: logistic(best.score), ..best }
    }

    /// Whether an item with this score goes on to the reasoner. Without a calibration every item does.
    pub fn passes(&self, score: f64) -> bool {
        self.about.calibration.as_ref().is_none_or(|it| score >= it.chosen.threshold)
    }

    /// A featuriser for this filter; one a thread.
    pub fn featuriser(&self) -> Featuriser {
        Featuriser::new(self.about.shape)
    }

    /// Why `raw` has its score: what its window's features add, the strongest first, the bias last.
    pub fn explain(&self, raw: &str) -> Vec<Contribution> {
        let found = self.score(&mut self.featuriser(), raw);
        let (normalised, windows) = windows(raw);
        let window = &normalised.text[windows[found.window].clone()];
        let head = &self.heads[found.label];
        let mut all: Vec<Contribution> = named(self.about.shape, window, &marks(&normalised))
            .into_iter()
            .map(|Named { name, feature }| Contribution {
                feature: name,
                log_odds: head.weight(feature.slot) * f64::from(feature.value),
            })
            .collect();
        all.sort_by(|a, b| b.log_odds.abs().total_cmp(&a.log_odds.abs()));
        all.push(Contribution { feature: "(always)".to_owned(), log_odds: head.bias.into() });
        all
    }

    /// Twelve hexadecimal digits that tell it from other filters: the start of its file's digest.
    pub fn print(&self) -> String {
        hex(&Sha256::digest(self.to_bytes())[..6])
    }

    /// Whether it was made for this very policy.
    ///
    /// # Errors
    /// [`CascadeError::Unbound`] or [`CascadeError::Stale`].
    pub fn check_policy(&self, policy: &PolicyRef) -> Result<(), CascadeError> {
        match &self.about.policy {
            None => Err(CascadeError::Unbound),
            Some(made_for) if made_for.id != policy.id => Err(CascadeError::Stale {
                made_for: made_for.id.to_string(),
                found: policy.id.to_string(),
            }),
            Some(_) => Ok(()),
        }
    }
}

impl Head {
    /// Rounded to 127 steps either side of 0, each stretch of slots by its own largest weight.
    fn rounded(linear: &Linear) -> Head {
        let mut head = Head { bias: linear.bias as f32, scales: Vec::new(), weights: Vec::new() };
        for stretch in linear.weights.chunks(SCALE_SLOTS) {
            let largest = stretch.iter().fold(0.0_f64, |largest, weight| largest.max(weight.abs()));
            let scale = (largest / 127.0) as f32;
            head.scales.push(scale);
            let step = if scale > 0.0 { 1.0 / f64::from(scale) } else { 0.0 };
            head.weights.extend(stretch.iter().map(|weight| (weight * step).round() as i8));
        }
        head
    }

    fn weight(&self, slot: u32) -> f64 {
        let slot = slot as usize;
        f64::from(self.scales[slot / SCALE_SLOTS]) * f64::from(self.weights[slot])
    }

    fn margin(&self, features: &[Feature]) -> f64 {
        let sum: f64 = features.iter().map(|f| self.weight(f.slot) * f64::from(f.value)).sum();
        sum + f64::from(self.bias)
    }
}

/// Four bytes of the digest of a text's normal form.
pub(crate) fn print(raw: &str) -> u32 {
    let digest = Sha256::digest(normalise(raw).text.as_bytes());
    u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]])
}

/// What a filter reads of a content: its metadata lines, then all that was said.
pub fn readable(content: &Content) -> String {
    let lines = content.metadata().iter().map(|(key, value)| format!("{key}: {value}"));
    let texts = content.texts().into_iter().map(str::to_owned);
    lines.chain(texts).collect::<Vec<_>>().join("\n")
}

/// Log-odds as a probability.
pub(crate) fn logistic(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}
