//! `/v1/jobs`: what was accepted to be judged later, and what came of it.

#![expect(unused_qualifications, reason = "utoipa's macro writes them")]

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use store::{Job, JobId, Store};
use utoipa::{IntoParams, ToSchema};

use super::app::App;
use super::page::check_page;
use crate::door::Caller;
use crate::error::{ApiError, Problem};
use crate::jobs::{JobBody, JobDetails};

/// Rows of a page where none are asked for.
const USUAL_PAGE: usize = 100;
const MAX_PAGE: usize = 1000;

/// Which jobs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobsQuery {
    /// `classify` or `batch`.
    kind: Option<String>,
    /// Older than this job.
    before: Option<String>,
    /// Most jobs, up to 1000; 100 by default.
    limit: Option<usize>,
}

/// Which pairs of a job.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobQuery {
    /// From behind this place, as `next` of the page before says.
    after: Option<i64>,
    /// Most pairs, up to 1000; 100 by default.
    limit: Option<usize>,
}

/// A page of jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Jobs {
    /// Newest first.
    jobs: Vec<JobBody>,
    /// `before` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What was accepted to be judged later
#[utoipa::path(
    get, path = "/v1/jobs", tag = "ours", params(JobsQuery),
    responses(
        (status = 200, body = Jobs),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`before` is no job", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "There is no store, or it failed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn jobs(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: Result<Query<JobsQuery>, QueryRejection>,
) -> Result<axum::Json<Jobs>, ApiError> {
    let Query(JobsQuery { kind, before, limit }) = query.map_err(|_| ApiError::Query)?;
    let kind = kind.as_deref();
    if kind.is_some_and(|kind| ![crate::jobs::CLASSIFY, crate::jobs::BATCH].contains(&kind)) {
        return Err(ApiError::Query);
    }
    let store = app.store()?;
    let before = before.map(|id| parse(&id)).transpose()?;
    let limit = limit.unwrap_or(USUAL_PAGE).clamp(1, MAX_PAGE);
    let page = store
        .jobs(caller.tenant(), kind, before.as_ref(), limit)
        .await
        .map_err(ApiError::of_store)?;
    let next = page.last().filter(|_| page.len() == limit).map(|job| job.id.to_string());
    Ok(axum::Json(Jobs { jobs: page.iter().map(JobBody::new).collect(), next }))
}

/// One job, with a page of its pairs
#[utoipa::path(
    get, path = "/v1/jobs/{id}", tag = "ours",
    params(("id" = String, Path, description = "As /v1/classify gave it"), JobQuery),
    responses(
        (status = 200, body = JobBody),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "There is no store, or it failed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn job(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    query: Result<Query<JobQuery>, QueryRejection>,
) -> Result<axum::Json<JobBody>, ApiError> {
    let Query(JobQuery { after, limit }) = query.map_err(|_| ApiError::Query)?;
    let (store, job) = find(&app, &caller, &id).await?;
    read(store, &job, after, limit.unwrap_or(USUAL_PAGE)).await
}

/// Cancel what has no outcome yet
#[utoipa::path(
    post, path = "/v1/jobs/{id}/cancel", tag = "ours",
    params(("id" = String, Path, description = "As /v1/classify gave it")),
    responses(
        (status = 200, description = "The job as it is now; a finished one stays as it was", body = JobBody),
        (status = 403, description = "A web page asked", body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "There is no store, or it failed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<axum::Json<JobBody>, ApiError> {
    check_page(&app, &headers)?;
    let (store, job) = find(&app, &caller, &id).await?;
    if store.cancel(caller.tenant(), &job.id).await.map_err(ApiError::of_store)? > 0 {
        app.metrics.jobs.job(kind(&job), "cancelled");
        app.jobs.signals.deliveries.notify_one();
    }
    let (store, job) = find(&app, &caller, &id).await?;
    read(store, &job, None, USUAL_PAGE).await
}

fn kind(job: &Job) -> &'static str {
    if job.kind == crate::jobs::BATCH { crate::jobs::BATCH } else { crate::jobs::CLASSIFY }
}

async fn find<'a>(app: &'a App, caller: &Caller, id: &str) -> Result<(&'a Store, Job), ApiError> {
    let store = app.store()?;
    let job = store.job(Some(caller.tenant()), &parse(id)?).await.map_err(ApiError::of_store)?;
    Ok((store, job))
}

async fn read(
    store: &Store,
    job: &Job,
    after: Option<i64>,
    limit: usize,
) -> Result<axum::Json<JobBody>, ApiError> {
    let limit = limit.clamp(1, MAX_PAGE);
    let items = store.items(&job.id, after, limit).await.map_err(ApiError::of_store)?;
    let details: JobDetails = serde_json::from_str(&job.details).unwrap_or_default();
    Ok(axum::Json(JobBody::with(job, &details, &items, limit)))
}

fn parse(id: &str) -> Result<JobId, ApiError> {
    id.parse().map_err(ApiError::of_store)
}
