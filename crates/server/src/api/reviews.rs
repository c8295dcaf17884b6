//! `/v1/decisions/{id}/reviews` and `/v1/reviews`: what people say of decisions, and what waits for them.

#![expect(unused_qualifications, reason = "utoipa's macro writes them")]

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use policy::GoldenOutcome;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{DecisionId, Finding, Millis, NewReview, ReviewId};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use crate::door::{Caller, Scope};
use crate::error::{ApiError, Problem};
use crate::wire::Json;

/// How many overturned decisions have no content any more, so that no case can be made of them.
const WITHOUT_CONTENT: HeaderName = HeaderName::from_static("x-safeguard-without-content");

/// Its routes.
pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(of_decision, review))
        .routes(routes!(waiting))
        .routes(routes!(golden))
}

/// What a person says of a decision.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReviewRequest {
    finding: FindingWord,
    /// With `overturn`: what is right, `violation` or `clear`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    outcome: Option<GoldenOutcome>,
    /// With `overturn`: the right rule of the policy, if one can be named.
    #[serde(default)]
    rule: Option<String>,
    /// Why, in at most 10,000 bytes; needed for all but `confirm`.
    #[serde(default)]
    reason: String,
    /// Who says so, as your own system names people; the key is noted too.
    #[serde(default)]
    reviewer: Option<String>,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum FindingWord {
    /// The decision is right.
    Confirm,
    /// It is wrong.
    Overturn,
    /// Whoever wrote the content asks for a second look.
    Appeal,
}

impl ReviewRequest {
    fn finding(&self) -> Result<Finding, ApiError> {
        match (self.finding, self.outcome, &self.rule) {
            (FindingWord::Overturn, Some(outcome), rule) => {
                Ok(Finding::Overturn { outcome, rule: rule.clone() })
            }
            (FindingWord::Overturn, None, _) => {
                Err(ApiError::field("outcome", "say what is right: violation or clear"))
            }
            (_, Some(_), _) => Err(ApiError::field("outcome", "is for overturn only")),
            (_, _, Some(_)) => Err(ApiError::field("rule", "is for overturn only")),
            (FindingWord::Confirm, ..) => Ok(Finding::Confirm),
            (FindingWord::Appeal, ..) => Ok(Finding::Appeal),
        }
    }
}

/// All that a reviewer needs of a decision.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reviewed {
    /// As the chain keeps it.
    #[schema(value_type = Object)]
    decision: Value,
    /// What was judged, if it is kept.
    #[schema(value_type = Option<Object>)]
    content: Value,
    /// Rationale, reasoning and detail, if they are kept.
    #[schema(value_type = Option<Object>)]
    words: Value,
    /// Oldest first.
    #[schema(value_type = Vec<Object>)]
    reviews: Vec<Value>,
}

/// A decision, its content and its reviews
#[utoipa::path(
    get, path = "/v1/decisions/{id}/reviews", tag = "reviews", params(("id" = String, Path)),
    responses(
        (status = 200, body = Reviewed),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn of_decision(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Reviewed>, ApiError> {
    let store = app.store()?;
    let id: DecisionId = id.parse().map_err(|_| ApiError::NoDecision)?;
    let stored = store.decision(Some(caller.tenant()), &id).await.map_err(ApiError::of_store)?;
    let kept = store.kept(&id).await.map_err(ApiError::of_store)?;
    let reviews = store.reviews(&id).await.map_err(ApiError::of_store)?;
    let review = |it: &store::StoredReview| {
        let mut body = json!(it.review);
        body["reason"] = json!(it.reason);
        body
    };
    Ok(axum::Json(Reviewed {
        decision: json!(stored.decision),
        content: json!(kept.content),
        words: json!(kept.words),
        reviews: reviews.iter().map(review).collect(),
    }))
}

/// Confirm, overturn or appeal a decision
///
/// A review is a record of the audit chain; its reason is kept apart and goes with the content when that is
/// erased. A key that only has items judged may appeal, and no more.
#[utoipa::path(
    post, path = "/v1/decisions/{id}/reviews", tag = "reviews", params(("id" = String, Path)),
    request_body = ReviewRequest,
    responses(
        (status = 201, body = Object),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 413, body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn review(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(request): Json<ReviewRequest>,
) -> Result<impl IntoResponse, ApiError> {
    let finding = request.finding()?;
    if finding != Finding::Appeal {
        caller.must(Scope::Review)?;
    }
    let at = Millis::now();
    let review = NewReview {
        id: ReviewId::new(at).map_err(|_| ApiError::Random)?,
        at,
        tenant: caller.tenant().to_owned(),
        decision: id.parse().map_err(|_| ApiError::NoDecision)?,
        reviewer: reviewer(&caller, request.reviewer),
        finding,
        reason: request.reason,
    };
    let review = app.store()?.review(review).await.map_err(ApiError::of_store)?;
    Ok((StatusCode::CREATED, axum::Json(json!(review))))
}

/// The name that was given, with the key that answers for it.
fn reviewer(caller: &Caller, name: Option<String>) -> String {
    match (name, caller.key()) {
        (Some(name), Some(key)) => format!("{name} ({key})"),
        (Some(name), None) => name,
        (None, _) => caller.actor().to_owned(),
    }
}

/// Of which policy, and how many.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueueQuery {
    /// Under the policy of this name.
    policy: Option<String>,
    /// Most decisions, up to 1000; 100 by default.
    limit: Option<usize>,
}

/// What waits for a person.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReviewQueue {
    /// All that wait, beyond those listed too.
    n_waiting: i64,
    waiting: Vec<WaitingBody>,
}

/// A decision that waits.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WaitingBody {
    /// `appealed`, `undetermined` or `doubtful`.
    #[schema(value_type = String)]
    why: store::Why,
    /// As the chain keeps it.
    #[schema(value_type = Object)]
    decision: Value,
}

/// What waits for a person
///
/// First what was appealed since anybody looked, then what nobody has looked at: the undetermined, then those of
/// low confidence or with doubts; each oldest first. A review takes a decision off.
#[utoipa::path(
    get, path = "/v1/reviews", tag = "reviews", params(QueueQuery),
    responses(
        (status = 200, body = ReviewQueue),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn waiting(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: Result<Query<QueueQuery>, QueryRejection>,
) -> Result<axum::Json<ReviewQueue>, ApiError> {
    let Query(query) = query.map_err(|_| ApiError::Query)?;
    let policy = named(query.policy)?;
    let (store, limit) = (app.store()?, query.limit.unwrap_or(100));
    let waiting = store.waiting(caller.tenant(), policy.as_deref(), limit).await;
    let (n_waiting, waiting) = waiting.map_err(ApiError::of_store)?;
    let body = |it: store::Waiting| {
        let mut decision = json!(it.decision);
        decision["seq"] = it.seq.into();
        WaitingBody { why: it.why, decision }
    };
    Ok(axum::Json(ReviewQueue { n_waiting, waiting: waiting.into_iter().map(body).collect() }))
}

/// Of which policy.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct GoldenQuery {
    /// Under the policy of this name.
    policy: Option<String>,
}

/// Overturned decisions as golden cases
///
/// JSON lines, as `golden.jsonl` beside a policy. The header `x-safeguard-without-content` counts those whose
/// content is not kept, so that no case can be made of them.
#[utoipa::path(
    get, path = "/v1/reviews/golden", tag = "reviews", params(GoldenQuery),
    responses(
        (status = 200, body = String, content_type = "application/jsonl"),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn golden(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: Result<Query<GoldenQuery>, QueryRejection>,
) -> Result<impl IntoResponse, ApiError> {
    let Query(query) = query.map_err(|_| ApiError::Query)?;
    let policy = named(query.policy)?;
    let overturned = app.store()?.overturned(caller.tenant(), policy.as_deref()).await;
    let mut n_without = 0;
    let mut lines = String::new();
    for one in overturned.map_err(ApiError::of_store)? {
        match one.case {
            Some(case) => lines += &format!("{}\n", json!(case)),
            None => n_without += 1,
        }
    }
    let kind = (header::CONTENT_TYPE, "application/jsonl".to_owned());
    Ok(([kind, (WITHOUT_CONTENT, n_without.to_string())], lines))
}

/// A policy's name in a query, if it is one.
fn named(policy: Option<String>) -> Result<Option<String>, ApiError> {
    match policy {
        Some(name) if !crate::selector::is_name(&name) => Err(ApiError::Query),
        policy => Ok(policy),
    }
}
