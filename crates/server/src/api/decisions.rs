//! `GET /v1/decisions`: what was decided, as the audit chain keeps it; never with content.

#![expect(unused_qualifications, reason = "utoipa's macro writes them")]

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{DecisionFilter, DecisionId, StoredDecision};
use utoipa::{IntoParams, ToSchema};

use super::app::App;
use crate::door::Caller;
use crate::error::{ApiError, Problem};
use crate::selector::is_name;

/// Which decisions; what is left out asks for all.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecisionQuery {
    /// Under the policy of this name.
    policy: Option<String>,
    /// `violation`, `clear` or `undetermined`.
    #[param(value_type = Option<String>)]
    outcome: Option<OutcomeWord>,
    /// From behind this place of the chain.
    after: Option<i64>,
    /// Most decisions, up to 1000; 100 by default.
    limit: Option<usize>,
}

/// An outcome, as the store writes it.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OutcomeWord {
    Violation,
    Clear,
    Undetermined,
}

impl OutcomeWord {
    fn as_str(self) -> &'static str {
        match self {
            OutcomeWord::Violation => "violation",
            OutcomeWord::Clear => "clear",
            OutcomeWord::Undetermined => "undetermined",
        }
    }
}

/// A page of the chain.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Decisions {
    /// In the order of the chain.
    #[schema(value_type = Vec<Object>)]
    decisions: Vec<Value>,
    /// `after` of the next page; absent on an empty page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

/// What was decided
#[utoipa::path(
    get, path = "/v1/decisions", tag = "ours", params(DecisionQuery),
    responses(
        (status = 200, body = Decisions),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "There is no store, or it failed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn decisions(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: Result<Query<DecisionQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<axum::Json<Decisions>, ApiError> {
    let Query(query) = query.map_err(|_| ApiError::Query)?;
    if query.policy.as_deref().is_some_and(|name| !is_name(name)) {
        return Err(ApiError::Query);
    }
    let filter = DecisionFilter {
        tenant: Some(caller.tenant().to_owned()),
        policy: query.policy,
        outcome: query.outcome.map(|word| word.as_str().to_owned()),
        ..DecisionFilter::default()
    };
    let store = app.store()?;
    let (after, limit) = (query.after.unwrap_or(0), query.limit.unwrap_or(100));
    let page = store.decisions(&filter, after, limit).await.map_err(ApiError::of_store)?;
    let next = page.last().map(|it| it.seq);
    Ok(axum::Json(Decisions { decisions: page.iter().map(body).collect(), next }))
}

/// One decision
#[utoipa::path(
    get, path = "/v1/decisions/{id}", tag = "ours", params(("id" = String, Path, description = "As /v1/classify gave it")),
    responses(
        (status = 200, body = Object),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "There is no store, or it failed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn decision(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    let store = app.store()?;
    let id: DecisionId = id.parse().map_err(|_| ApiError::NoDecision)?;
    let decision = store.decision(Some(caller.tenant()), &id).await.map_err(ApiError::of_store)?;
    Ok(axum::Json(body(&decision)))
}

fn body(stored: &StoredDecision) -> Value {
    let mut body = json!(stored.decision);
    body["seq"] = stored.seq.into();
    body
}
