//! Perspective's bodies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{Kind, Refusal};

/// A comment, and what is asked of it. Fields that the judge has no use for, such as `context`, are passed over.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AnalyzeRequest {
    pub(super) comment: PerspectiveComment,
    /// Attributes of the settings, such as `TOXICITY`.
    pub(super) requested_attributes: BTreeMap<String, AttributeAsked>,
    /// Whether to send spans too: one, the whole comment, for that is what is judged.
    #[serde(default)]
    pub(super) span_annotations: bool,
    /// The comment's languages, where known; sent back as they are.
    #[serde(default)]
    pub(super) languages: Option<Vec<String>>,
    /// With it, the store keeps nothing of the comment but its hash, whatever the settings say.
    #[serde(default)]
    pub(super) do_not_store: bool,
    /// Sent back as it is.
    #[serde(default)]
    pub(super) client_token: Option<String>,
}

/// What is judged.
#[derive(Deserialize, ToSchema)]
pub(super) struct PerspectiveComment {
    pub(super) text: String,
    /// `PLAIN_TEXT`.
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

/// How an attribute is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AttributeAsked {
    /// `PROBABILITY`.
    #[serde(default)]
    score_type: Option<String>,
    /// Lower scores are left out.
    #[serde(default)]
    pub(super) score_threshold: Option<f64>,
}

/// The scores.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AnalyzeResponse {
    /// By attribute.
    pub(super) attribute_scores: BTreeMap<String, AttributeScores>,
    /// Those of the request; none where it names none, for nothing is detected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) languages: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_token: Option<String>,
}

/// The scores of one attribute.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AttributeScores {
    pub(super) summary_score: PerspectiveScore,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) span_scores: Option<Vec<PerspectiveSpan>>,
}

/// The score of a part of the comment.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PerspectiveSpan {
    /// In characters of Unicode.
    pub(super) begin: usize,
    pub(super) end: usize,
    pub(super) score: PerspectiveScore,
}

/// A score.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(super) struct PerspectiveScore {
    /// Probability of a violation, 0 to 1.
    pub(super) value: f64,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
}

impl AnalyzeRequest {
    /// Whether all that is asked can be answered; `served`: languages that may be named, or none for all.
    ///
    /// # Errors
    /// [`Refusal`] with what Perspective called it.
    pub(super) fn check(&self, served: &[String]) -> Result<(), Refusal> {
        let is_plain = |kind: &String| matches!(&**kind, "PLAIN_TEXT" | "TEXT_TYPE_UNSPECIFIED");
        if !self.comment.kind.as_ref().is_none_or(is_plain) {
            return Err(Refusal::new(Kind::Request, "comment.type: only PLAIN_TEXT can be judged"));
        }
        let Some(first) = self.requested_attributes.keys().next() else {
            return Err(Refusal::new(Kind::NoAttributes, "requestedAttributes: there is none"));
        };
        for (name, asked) in &self.requested_attributes {
            let is_known =
                |kind: &String| matches!(&**kind, "PROBABILITY" | "SCORE_TYPE_UNSPECIFIED");
            if !asked.score_type.as_ref().is_none_or(is_known) {
                let message = format!("requestedAttributes.{name}.scoreType: only PROBABILITY");
                return Err(Refusal::new(Kind::Request, message));
            }
        }
        let named = self.languages.as_deref().unwrap_or_default();
        let is_served = |language: &String| served.is_empty() || served.contains(language);
        if named.iter().all(is_served) {
            return Ok(());
        }
        let message =
            format!("Attribute {first} does not support request languages: {}", named.join(", "));
        Err(Refusal::new(
            Kind::Language { attribute: first.clone(), named: named.to_vec() },
            message,
        ))
    }
}
