//! What the answer has: each pair with its verdict or the reason why there is none, and what to do.

use policy::{Outcome, PolicyRef, Verdict};
use serde::Serialize;
use serde_json::Value;
use store::DecisionId;
use utoipa::ToSchema;

use crate::error::{ApiError, Problem};
use crate::metrics::Disposition;
use crate::settings::OnUndetermined;
use crate::wire::VerdictBody;

/// All pairs, item by item.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClassifyResponse {
    /// The strongest action of all pairs: `block`, then `review`, then `allow`.
    action: Action,
    results: Vec<PairResult>,
}

impl ClassifyResponse {
    pub(crate) fn new(results: Vec<PairResult>) -> ClassifyResponse {
        let action = results.iter().map(|it| it.action).max().unwrap_or(Action::Review);
        ClassifyResponse { action, results }
    }
}

/// One pair.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PairResult {
    /// The item's place in the request, from 0.
    index: usize,
    /// The item's own id.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
    policy: PolicyBody,
    action: Action,
    /// The decision's id in the store, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<String>,
    /// The verdict, where the pair could be judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<VerdictBody>,
    /// Why it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

impl PairResult {
    /// A pair that was judged; `id` is the item's own.
    pub(crate) fn judged(
        (index, id): (usize, Option<Value>),
        decision: Option<DecisionId>,
        verdict: Verdict,
        on_undetermined: OnUndetermined,
        with_reasoning: bool,
    ) -> PairResult {
        PairResult {
            index,
            id,
            policy: PolicyBody::of(&verdict.policy),
            action: Action::of(verdict.outcome, on_undetermined).0,
            decision: decision.map(String::from),
            verdict: Some(VerdictBody::new(verdict, with_reasoning)),
            error: None,
        }
    }

    /// A pair that could not be; `policy` is what the request called it.
    pub(super) fn failed(
        (index, id): (usize, Option<Value>),
        policy: &str,
        error: &ApiError,
        on_undetermined: OnUndetermined,
    ) -> PairResult {
        PairResult {
            index,
            id,
            policy: PolicyBody { name: policy.to_owned(), id: None },
            action: Action::without_verdict(on_undetermined).0,
            decision: None,
            verdict: None,
            error: Some(error.problem()),
        }
    }
}

impl PolicyBody {
    pub(crate) fn of(policy: &PolicyRef) -> PolicyBody {
        PolicyBody { name: policy.name.clone(), id: Some(policy.id.0.clone()) }
    }
}

/// Which policy was applied.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PolicyBody {
    name: String,
    /// SHA-256 of its file; absent where it was not found.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

/// What to do with an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    /// Let it through.
    Allow,
    /// A person decides.
    Review,
    /// Keep it back.
    Block,
}

impl Action {
    /// What an outcome leads to, and how the traffic counts it.
    pub(crate) fn of(outcome: Outcome, otherwise: OnUndetermined) -> (Action, Disposition) {
        match outcome {
            Outcome::Clear => (Action::Allow, Disposition::Admitted),
            Outcome::Violation => (Action::Block, Disposition::Blocked),
            Outcome::Undetermined(_) => Action::without_verdict(otherwise),
        }
    }

    /// The same where nothing was decided.
    pub(super) fn without_verdict(otherwise: OnUndetermined) -> (Action, Disposition) {
        match otherwise {
            OnUndetermined::Allow => (Action::Allow, Disposition::Bypassed),
            OnUndetermined::Review => (Action::Review, Disposition::Undetermined),
            OnUndetermined::Block => (Action::Block, Disposition::Blocked),
        }
    }
}
