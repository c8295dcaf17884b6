//! `POST /v1/classify`: items × policies, each pair with its verdict or the reason why there is none.

mod request;
mod response;

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

pub(super) use request::deadline;
pub(crate) use request::{
    AtDeadline, ClassifyRequest, Mode, check_sync, items_and_policies, read, settings,
};
pub(crate) use response::{Action, ClassifyResponse, PairResult, PolicyBody};

use super::app::{App, Pair};
use super::later::accept_later;
use crate::door::Caller;
use crate::error::{ApiError, Problem};
use crate::jobs::JobBody;
use crate::metrics::UNKNOWN;
use crate::pool::Class;
use crate::wire::{Digested, Json};

/// Judge items under policies
///
/// Every pair has a verdict or an error of its own; one that fails does not fail the others. `action` is what
/// to do with a pair, with `on_undetermined` applied.
#[utoipa::path(
    post, path = "/v1/classify", tag = "ours", request_body = ClassifyRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "With `async`: a second request with it is the first one's job")),
    responses(
        (status = 200, body = ClassifyResponse),
        (status = 202, description = "With `async`: the job is on the disk; `Location` is where it is read", body = JobBody),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "With `async`: a policy is not served", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "With `async`: another version of a policy is served", body = Problem, content_type = "application/problem+json"),
        (status = 413, body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too much waits, or the deadline cannot be met", body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn classify(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    Digested { body: Json(mut request), digest }: Digested<ClassifyRequest>,
) -> Result<Response, ApiError> {
    let served = app.served(&caller).await?;
    if request.mode == Mode::Async {
        return accept_later(&app, &caller, &served, &headers, request, digest).await;
    }
    check_sync(&request)?;
    let settings = settings(&app, &request)?;
    let deadline = app.deadline(deadline(request.deadline_ms)?);
    let n_most = app.settings.limits.pairs;
    let (items, policies) = items_and_policies(&served, &mut request, n_most)?;
    let mut pairs = Vec::new();
    for (_, content) in &items {
        for (_, policy) in &policies {
            if let (Ok(content), Ok(chosen)) = (content, policy) {
                pairs.push(Pair { chosen: chosen.clone(), content: Arc::clone(content) });
            }
        }
    }
    let verdicts = app.judge(&caller, Class::Sync, pairs.clone(), &settings, deadline).await?;
    let ids = app.record_all(&caller, "/v1/classify", &pairs, &settings, &verdicts).await?;
    let mut verdicts = verdicts.into_iter().zip(ids);
    let mut results = Vec::new();
    for (index, (id, content)) in items.iter().enumerate() {
        for (name, policy) in &policies {
            let judged = match (content, policy) {
                (Ok(_), Ok(chosen)) => {
                    verdicts.next().map(|verdict| (chosen, verdict)).ok_or(ApiError::Stopping)
                }
                (Err(error), _) | (_, Err(error)) => Err(error.clone()),
            };
            let (of, otherwise) = ((index, id.clone()), request.on_undetermined);
            results.push(match judged {
                Ok((chosen, (verdict, decision))) => {
                    let (_, disposition) = Action::of(verdict.outcome, otherwise);
                    app.metrics.disposed(&chosen.metric, verdict.outcome, disposition);
                    PairResult::judged(of, decision, verdict, otherwise, request.reasoning)
                }
                Err(error) => {
                    let (_, disposition) = Action::without_verdict(otherwise);
                    let metric = policy.as_ref().map_or(UNKNOWN, |chosen| chosen.metric.as_str());
                    app.metrics.failed(metric, error.code(), disposition);
                    PairResult::failed(of, name, &error, otherwise)
                }
            });
        }
    }
    Ok(axum::Json(ClassifyResponse::new(results)).into_response())
}
