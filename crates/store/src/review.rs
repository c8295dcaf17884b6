//! Reviews: what people say of a decision.

use std::fmt;

use policy::{GoldenOutcome, Policy, PolicyId};
use serde::{Deserialize, Serialize};

use crate::decision::Decision;
use crate::error::{Result, StoreError};
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
    /// Who reviews: a name or a key's id, in at most 200 bytes.
    pub reviewer: String,
    /// What was found.
    pub finding: Finding,
    /// Why, in at most 10,000 bytes; kept apart, for it may quote the content.
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

/// Most bytes of a reason, and of a reviewer's name.
const MAX_REASON: usize = 10_000;
const MAX_REVIEWER: usize = 200;

impl NewReview {
    /// Whether it can stand beside this decision.
    pub(crate) fn check(&self, decision: &Decision, policy: Option<&Policy>) -> Result<()> {
        let refuse = |field, problem: String| Err(StoreError::Review { field, problem });
        if self.reason.len() > MAX_REASON {
            return refuse("reason", format!("it may have {MAX_REASON} bytes"));
        }
        let is_name = |name: &str| name.len() <= MAX_REVIEWER && !name.contains(char::is_control);
        if self.reviewer.trim().is_empty() || !is_name(&self.reviewer) {
            let problem = format!("a name of at most {MAX_REVIEWER} bytes is needed");
            return refuse("reviewer", problem);
        }
        if self.finding != Finding::Confirm && self.reason.trim().is_empty() {
            return refuse("reason", "say why".to_owned());
        }
        let Finding::Overturn { outcome, rule } = &self.finding else { return Ok(()) };
        if let (Some(rule), Some(policy)) = (rule, policy) {
            match policy.side(rule) {
                Some(side) if side == outcome.side() => {}
                Some(side) => return refuse("rule", format!("{rule} is a {side} rule")),
                None => return refuse("rule", format!("the policy has no rule {rule}")),
            }
        }
        let is_same_outcome = decision.outcome.is_violation() == Some(outcome.is_violation());
        let is_same_rule = rule.as_ref().is_none_or(|rule| {
            decision.label.as_deref() == Some(rule) || decision.rule_ids.contains(rule)
        });
        if is_same_outcome && is_same_rule {
            return refuse("outcome", "that is what was decided; confirm it instead".to_owned());
        }
        Ok(())
    }

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

/// Why a decision waits for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// The person concerned asks for a second look.
    Appealed,
    /// There is no decision.
    Undetermined,
    /// The judge was not sure: its own word, or a doubt noted on the way.
    Doubtful,
}

/// A decision that waits for a person.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// What it waits for.
    pub why: Why,
    /// Its place in the chain.
    pub seq: i64,
    /// What was decided.
    pub decision: Decision,
}

/// How often a candidate version said this of that which the live one had said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// The version that acted.
    pub live_id: PolicyId,
    /// Its outcome and label.
    pub live: (String, Option<String>),
    /// The candidate's.
    pub shadow: (String, Option<String>),
    /// On how many items.
    pub n_pairs: i64,
}

/// Where a candidate version and the live one disagree.
#[derive(Clone, Debug, PartialEq)]
pub struct Disagreement {
    /// The decision that acted.
    pub live: Decision,
    /// The candidate's.
    pub shadow: Decision,
}
