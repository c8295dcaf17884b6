//! A filter: a small classifier for one policy version, with its threshold and what proves its recall.
//!
//! What runs on traffic is in `scorer.rs`. The file is one header of JSON and the weights, one byte for a slot of
//! n-grams; it is read back only if every part of it is as it was written.

use policy::{Content, PolicyRef, hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::CascadeError;
use crate::evidence::Evidence;
use crate::head::Head;
use crate::prints::Prints;
use crate::promote::Promotion;
use crate::reads::Reads;
use crate::text::normalise;
use crate::train::TrainingReport;

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
    /// What it reads of a text.
    pub reads: Reads,
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
    /// Of trained heads; `texts` are those that they were trained on.
    pub(crate) fn new<'a>(
        about: About,
        heads: Vec<Head>,
        texts: impl Iterator<Item = &'a str>,
    ) -> Filter {
        let mut seen: Vec<u32> = texts.map(print).collect();
        seen.sort_unstable();
        seen.dedup();
        Filter { about, seen, heads }
    }

    /// Whether training saw this text, or one with the same normal form; wrong for one text in some
    /// tens of thousands that it did not see.
    pub fn has_seen(&self, raw: &str) -> bool {
        self.seen.binary_search(&print(raw)).is_ok()
    }

    /// Whether an item with this score goes on to the reasoner. Without a calibration every item does.
    pub fn passes(&self, score: f64) -> bool {
        self.about.calibration.as_ref().is_none_or(|it| score >= it.chosen.threshold)
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
