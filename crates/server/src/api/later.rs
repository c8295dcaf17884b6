//! `/v1/classify` with `"mode": "async"`: a job is made of the request and answered with at once.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use store::{Millis, Notify, OnDeadline, Sampling};

use super::app::App;
use super::classify::{AtDeadline, ClassifyRequest, deadline, items_and_policies, settings};
use crate::door::Caller;
use crate::error::ApiError;
use crate::jobs::{
    Asked, AskedItem, CLASSIFY, CLASSIFY_SOURCE, ItemDetails, JobBody, JobDetails, Refused, accept,
};
use crate::selector::Chosen;
use crate::shelf::Served;

/// Most pairs of a job that may be at fault; with more, the request is.
pub(crate) const MAX_FAULTS: usize = 100;
/// Most characters of a caller's key.
const MAX_KEY: usize = 200;

/// Accepts the request as a job.
///
/// # Errors
/// [`ApiError`] for the first thing that stands against it.
pub(super) async fn accept_later(
    app: &Arc<App>,
    caller: &Caller,
    served: &Served,
    headers: &HeaderMap,
    mut request: ClassifyRequest,
    digest: String,
) -> Result<Response, ApiError> {
    let store = app.store()?;
    let request_key = request_key(headers)?;
    let within = deadline(request.deadline_ms)?;
    let webhook = app.jobs.webhooks.choose(request.webhook.take())?;
    let (items, refused) = pairs(app, served, &mut request)?;
    let (url, secret, notify) =
        webhook.map_or((None, None, Notify::default()), |it| (Some(it.url), it.secret, it.notify));
    let details = JobDetails {
        source: CLASSIFY_SOURCE.to_owned(),
        digest: request_key.is_some().then_some(digest),
        on_undetermined: request.on_undetermined,
        reasoning: request.reasoning,
        secret,
        refused,
        batch: None,
    };
    let asked = Asked {
        kind: CLASSIFY,
        details,
        items,
        deadline_at: within.map(|within| Millis::now().after(within)),
        on_deadline: match request.on_deadline.unwrap_or_default() {
            AtDeadline::Undetermined => OnDeadline::GiveUp,
            AtDeadline::Wait => OnDeadline::Wait,
        },
        webhook: url,
        notify,
        request_key,
    };
    let id = accept(app, caller, asked).await?;
    let job = store.job(Some(caller.tenant()), &id).await.map_err(ApiError::of_store)?;
    let details: JobDetails = serde_json::from_str(&job.details).unwrap_or_default();
    let location = (header::LOCATION, format!("/v1/jobs/{id}"));
    let body = JobBody::accepted(&job, details);
    Ok((StatusCode::ACCEPTED, [location], axum::Json(body)).into_response())
}

fn request_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= MAX_KEY);
    let problem = "it must be 1 to 200 visible ASCII characters";
    key.map(|key| Some(key.to_owned())).ok_or_else(|| ApiError::field("idempotency-key", problem))
}

/// The pairs to be judged, and those that cannot be.
fn pairs(
    app: &App,
    served: &Served,
    request: &mut ClassifyRequest,
) -> Result<(Vec<AskedItem>, Vec<Refused>), ApiError> {
    let settings = settings(app, request)?;
    let (items, policies) = items_and_policies(served, request, app.settings.jobs.pairs)?;
    let (mut asked, mut refused, mut first) = (Vec::new(), Vec::new(), None);
    for (index, (id, content)) in items.iter().enumerate() {
        for (name, policy) in &policies {
            match one(content, policy) {
                Ok((content, chosen)) => {
                    let sampling = Sampling::of(&settings, &chosen.policy);
                    let details = ItemDetails { index, id: id.clone(), sampling, line: None };
                    asked.push(AskedItem { chosen, content, custom_id: None, details });
                }
                Err(error) => {
                    let problem = error.problem();
                    let (id, policy) = (id.clone(), name.clone());
                    refused.push(Refused { index, id, policy, error: problem });
                    first.get_or_insert(error);
                }
            }
        }
    }
    match first {
        Some(first) if asked.is_empty() || refused.len() > MAX_FAULTS => Err(first),
        _ => Ok((asked, refused)),
    }
}

fn one(
    content: &Result<Arc<policy::Content>, ApiError>,
    policy: &Result<Chosen, ApiError>,
) -> Result<(Arc<policy::Content>, Chosen), ApiError> {
    Ok((Arc::clone(content.as_ref().map_err(Clone::clone)?), policy.clone()?))
}
