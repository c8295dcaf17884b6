//! Reviews: what people say of a decision.

use std::fmt;

use policy::GoldenOutcome;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::id::{DecisionId, ReviewId};
use crate::seal::Salt;
use crate::time::Millis;

/// What a person says of a decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// It is right.
    Confirm,
    /// It is wrong, and what is right.
    Overturn {
        /// The right outcome.
        outcome: GoldenOutcome,
        /// The right rule, where the reviewer names one.
        rule: Option<String>,
    },
    /// The person concerned asks for a second look.
    Appeal,
}

impl Finding {
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Finding::Confirm => "confirm",
            Finding::Overturn { .. } => "overturn",
            Finding::Appeal => "appeal",
        }
    }
}

/// A review to be stored.
#[derive(Clone)]
pub struct NewReview {
    /// Chosen by the caller, as with decisions.
    pub id: ReviewId,
    /// When.
    pub at: Millis,
    /// Whose decision.
    pub tenant: String,
    /// Which decision.
    pub decision: DecisionId,
    /// Who reviews: a name or a key's id.
    pub reviewer: String,
    /// What was found.
    pub finding: Finding,
    /// Why; kept apart, for it may quote the content.
    pub reason: String,
}

/// Leaves the reason out.
impl fmt::Debug for NewReview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewReview").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What the chain keeps of a review.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Review {
    /// Its id.
    pub id: ReviewId,
    /// When.
    pub at: Millis,
    /// Whose decision.
    pub tenant: String,
    /// Which decision.
    pub decision: DecisionId,
    /// Who reviewed.
    pub reviewer: String,
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
    /// Salted SHA-256 of the reason.
    pub reason_digest: String,
}

impl NewReview {
    pub(crate) fn seal(&self) -> Result<(Review, Salt)> {
        let salt = Salt::random()?;
        let review = Review {
            id: self.id.clone(),
            at: self.at,
            tenant: self.tenant.clone(),
            decision: self.decision.clone(),
            reviewer: self.reviewer.clone(),
            finding: self.finding.clone(),
            reason_digest: salt.digest("words", &self.reason),
        };
        Ok((review, salt))
    }
}

/// A review with its reason, where it is still kept.
#[derive(Clone, PartialEq)]
pub struct StoredReview {
    /// What the chain says.
    pub review: Review,
    /// The reason.
    pub reason: Option<String>,
}

impl fmt::Debug for StoredReview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredReview").field("review", &self.review).finish_non_exhaustive()
    }
}

/// An overturned decision as a golden case.
#[derive(Clone)]
pub struct Overturned {
    /// The decision, whose id is the case's.
    pub decision: DecisionId,
    /// Under which policy.
    pub policy: policy::PolicyRef,
    /// The case; `None` where the content is no longer kept.
    pub case: Option<policy::GoldenCase>,
}

impl fmt::Debug for Overturned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overturned").field("decision", &self.decision).finish_non_exhaustive()
    }
}

/// Where a candidate version and the live one disagree.
#[derive(Clone, Debug, PartialEq)]
pub struct Disagreement {
    /// The decision that acted.
    pub live: crate::Decision,
    /// The candidate's.
    pub shadow: crate::Decision,
}
