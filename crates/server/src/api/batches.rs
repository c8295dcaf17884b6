//! `/v1/batches`, in OpenAI's shape.

#![expect(unused_qualifications, reason = "utoipa's macro writes them")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use store::{Job, JobId, Millis, Notify, OnDeadline, Store};
use utoipa::{IntoParams, ToSchema};

use super::app::App;
use super::files::PURPOSE;
use super::page::check_page;
use crate::batches::{Conclusion, ENDPOINTS, parse as parse_file};
use crate::error::{ApiError, OpenAiError};
use crate::jobs::{Asked, BATCH, BatchDetails, BatchError, JobDetails, accept};
use crate::recorder::TENANT;
use crate::wire::{OpenAiJson, OpenAiRefusal};

/// The one window there is, and how long it is.
const WINDOW: (&str, Duration) = ("24h", Duration::from_secs(24 * 3600));
/// Most pairs of metadata, and most characters of a key and of a value.
const METADATA: (usize, usize, usize) = (16, 64, 512);
const PREFIX: &str = "batch_";
const JOB_PREFIX: &str = "job_";

/// A batch to be made of a file.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchRequest {
    /// A file of JSON lines with `custom_id`, `method`, `url` and `body`.
    input_file_id: String,
    /// `/v1/moderations`, `/v1/classify` or `/v1/chat/completions`.
    endpoint: String,
    /// `24h`: what has no verdict by then is in the error file.
    completion_window: String,
    /// The caller's own notes.
    #[serde(default)]
    metadata: Option<BTreeMap<String, String>>,
}

/// A batch and how far it is; times in seconds since 1970.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchBody {
    id: String,
    object: &'static str,
    endpoint: String,
    /// What is wrong with the file.
    errors: Option<BatchErrors>,
    input_file_id: String,
    completion_window: String,
    /// `failed`, `in_progress`, `finalizing`, `completed`, `expired`, `cancelling` or `cancelled`.
    status: &'static str,
    output_file_id: Option<String>,
    error_file_id: Option<String>,
    created_at: i64,
    in_progress_at: Option<i64>,
    expires_at: Option<i64>,
    finalizing_at: Option<i64>,
    completed_at: Option<i64>,
    failed_at: Option<i64>,
    expired_at: Option<i64>,
    cancelling_at: Option<i64>,
    cancelled_at: Option<i64>,
    request_counts: RequestCounts,
    #[schema(value_type = Option<Object>)]
    metadata: Option<serde_json::Value>,
}

/// What is wrong with a file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchErrors {
    object: &'static str,
    data: Vec<BatchError>,
}

/// How many of the file's requests came to what.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct RequestCounts {
    total: usize,
    completed: usize,
    failed: usize,
}

/// Make a batch of a file
#[utoipa::path(
    post, path = "/v1/batches", tag = "OpenAI", request_body = BatchRequest,
    responses(
        (status = 200, description = "The batch is on the disk; where the file cannot be taken its status is `failed`", body = BatchBody),
        (status = 400, body = OpenAiError),
        (status = 404, description = "There is no such file", body = OpenAiError),
        (status = 413, body = OpenAiError),
        (status = 415, body = OpenAiError),
        (status = 422, body = OpenAiError),
        (status = 429, description = "Too much is open", body = OpenAiError),
        (status = 503, description = "There is no store, it failed, or the service stops", body = OpenAiError),
    )
)]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    OpenAiJson(request): OpenAiJson<BatchRequest>,
) -> Result<axum::Json<BatchBody>, OpenAiRefusal> {
    let store = app.store()?;
    check(&request)?;
    let bytes = input(store, &request.input_file_id).await?;
    let (reading, endpoint) = (Arc::clone(&app), request.endpoint.clone());
    let parsed = tokio::task::spawn_blocking(move || parse_file(&reading, &endpoint, &bytes));
    let parsed = parsed.await.map_err(|_| ApiError::Stopping)?;
    let batch = BatchDetails {
        endpoint: request.endpoint,
        input_file: request.input_file_id,
        window: request.completion_window,
        metadata: request.metadata.map(|it| serde_json::json!(it)),
        n_lines: parsed.n_lines,
        faults: parsed.faults,
        errors: parsed.errors,
    };
    let details = JobDetails {
        source: "/v1/batches".to_owned(),
        batch: Some(batch),
        reasoning: true,
        ..JobDetails::default()
    };
    let asked = Asked {
        kind: BATCH,
        details,
        items: parsed.items,
        deadline_at: Some(Millis::now().after(WINDOW.1)),
        on_deadline: OnDeadline::GiveUp,
        webhook: None,
        notify: Notify::End,
        request_key: None,
    };
    let id = accept(&app, asked).await?;
    let job = store.job(Some(TENANT), &id).await.map_err(ApiError::store)?;
    Ok(axum::Json(body(store, &job).await?))
}

fn check(request: &BatchRequest) -> Result<(), ApiError> {
    if !ENDPOINTS.contains(&request.endpoint.as_str()) {
        let problem = format!("must be one of {}", ENDPOINTS.join(", "));
        return Err(ApiError::field("endpoint", problem));
    }
    if request.completion_window != WINDOW.0 {
        return Err(ApiError::field("completion_window", "must be 24h"));
    }
    let (n_pairs, key, value) = METADATA;
    let is_short =
        |(k, v): (&String, &String)| k.chars().count() <= key && v.chars().count() <= value;
    let notes = request.metadata.iter().flatten();
    if request.metadata.as_ref().is_some_and(|it| it.len() > n_pairs)
        || !notes.clone().all(is_short)
    {
        let problem = "at most 16 pairs, keys of at most 64 characters, values of at most 512";
        return Err(ApiError::field("metadata", problem));
    }
    Ok(())
}

/// The bytes of the file that is named.
async fn input(store: &Store, id: &str) -> Result<Vec<u8>, ApiError> {
    let missing = ApiError::Missing { what: "file" };
    let id = id.parse().map_err(|_| missing.clone())?;
    let file = store.file(TENANT, &id).await.map_err(ApiError::store)?;
    if file.complete_at.is_none() {
        return Err(missing);
    }
    if file.purpose != PURPOSE {
        return Err(ApiError::field("input_file_id", "the file's purpose must be batch"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(file.n_bytes).unwrap_or_default());
    for chunk_idx in 0.. {
        match store.file_chunk(&id, chunk_idx).await.map_err(ApiError::store)? {
            Some(chunk) => bytes.extend(chunk),
            None => break,
        }
    }
    Ok(bytes)
}

/// Which batches.
#[derive(Deserialize, IntoParams)]
pub(crate) struct BatchesQuery {
    /// Older than this batch.
    after: Option<String>,
    /// Most batches, up to 100; 20 by default.
    limit: Option<usize>,
}

/// A page of batches.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchList {
    object: &'static str,
    data: Vec<BatchBody>,
    first_id: Option<String>,
    last_id: Option<String>,
    has_more: bool,
}

/// The batches, newest first
#[utoipa::path(
    get, path = "/v1/batches", tag = "OpenAI", params(BatchesQuery),
    responses(
        (status = 200, body = BatchList),
        (status = 400, body = OpenAiError),
        (status = 404, description = "`after` is no batch", body = OpenAiError),
        (status = 503, description = "There is no store, or it failed", body = OpenAiError),
    )
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    query: Result<Query<BatchesQuery>, QueryRejection>,
) -> Result<axum::Json<BatchList>, OpenAiRefusal> {
    let Query(BatchesQuery { after, limit }) = query.map_err(|_| ApiError::Query)?;
    let store = app.store()?;
    let after = after.map(|id| parse(&id)).transpose()?;
    let limit = limit.unwrap_or(20).clamp(1, 100);
    let page = store.jobs(TENANT, Some(BATCH), after.as_ref(), limit + 1).await;
    let page = page.map_err(ApiError::store)?;
    let mut data = Vec::new();
    for job in page.iter().take(limit) {
        data.push(body(store, job).await?);
    }
    let id = |batch: Option<&BatchBody>| batch.map(|batch| batch.id.clone());
    let (first_id, last_id) = (id(data.first()), id(data.last()));
    Ok(axum::Json(BatchList {
        object: "list",
        data,
        first_id,
        last_id,
        has_more: page.len() > limit,
    }))
}

/// One batch
#[utoipa::path(
    get, path = "/v1/batches/{id}", tag = "OpenAI", params(("id" = String, Path, description = "As its making gave it")),
    responses(
        (status = 200, body = BatchBody),
        (status = 404, body = OpenAiError),
        (status = 503, description = "There is no store, or it failed", body = OpenAiError),
    )
)]
pub(crate) async fn retrieve(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<axum::Json<BatchBody>, OpenAiRefusal> {
    let store = app.store()?;
    Ok(axum::Json(body(store, &find(store, &id).await?).await?))
}

/// Cancel what of a batch was not judged yet
#[utoipa::path(
    post, path = "/v1/batches/{id}/cancel", tag = "OpenAI", params(("id" = String, Path, description = "As its making gave it")),
    responses(
        (status = 200, body = BatchBody),
        (status = 403, description = "A web page asked", body = OpenAiError),
        (status = 404, body = OpenAiError),
        (status = 503, description = "There is no store, or it failed", body = OpenAiError),
    )
)]
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<axum::Json<BatchBody>, OpenAiRefusal> {
    check_page(&app, &headers)?;
    let store = app.store()?;
    let job = find(store, &id).await?;
    if store.cancel(TENANT, &job.id).await.map_err(ApiError::store)? > 0 {
        app.metrics.jobs.job(BATCH, "cancelled");
    }
    Ok(axum::Json(body(store, &find(store, &id).await?).await?))
}

async fn find(store: &Store, id: &str) -> Result<Job, ApiError> {
    let missing = ApiError::Missing { what: "batch" };
    match store.job(Some(TENANT), &parse(id)?).await {
        Ok(job) if job.kind == BATCH => Ok(job),
        Ok(_) | Err(store::StoreError::Unknown { .. }) => Err(missing),
        Err(error) => Err(ApiError::store(error)),
    }
}

/// A batch's id is its job's under another name.
fn parse(id: &str) -> Result<JobId, ApiError> {
    let letters = id.strip_prefix(PREFIX).map(|letters| format!("{JOB_PREFIX}{letters}"));
    letters.and_then(|id| id.parse().ok()).ok_or(ApiError::Missing { what: "batch" })
}

fn name(id: &JobId) -> String {
    format!("{PREFIX}{}", id.as_str().trim_start_matches(JOB_PREFIX))
}

async fn body(store: &Store, job: &Job) -> Result<BatchBody, ApiError> {
    let unreadable = |_| {
        tracing::error!("what the store keeps of a batch cannot be read");
        ApiError::Store
    };
    let details: JobDetails = serde_json::from_str(&job.details).map_err(unreadable)?;
    let batch = details.batch.ok_or(ApiError::Missing { what: "batch" })?;
    let conclusion = job.conclusion.as_deref().map(serde_json::from_str::<Conclusion>);
    let conclusion = conclusion.transpose().map_err(unreadable)?;
    let has_failed = !batch.errors.is_empty();
    let status = match (&conclusion, job.finished_at, job.cancelled_at) {
        _ if has_failed => "failed",
        (None, None, _) => "in_progress",
        (None, Some(_), None) => "finalizing",
        (None, Some(_), Some(_)) => "cancelling",
        (Some(_), _, Some(_)) => "cancelled",
        (Some(conclusion), ..) if conclusion.n_expired > 0 => "expired",
        (Some(_), ..) => "completed",
    };
    let request_counts = match &conclusion {
        Some(it) => RequestCounts {
            total: batch.n_lines,
            completed: it.n_completed,
            failed: it.n_failed + it.n_expired,
        },
        None => {
            let (n, n_open) = store.n_names(&job.id).await.map_err(ApiError::store)?;
            let completed = usize::try_from(n - n_open).unwrap_or_default();
            RequestCounts { total: batch.n_lines, completed, failed: batch.faults.len() }
        }
    };
    let seconds = |at: Millis| at.0 / 1000;
    let at = conclusion.as_ref().map(|conclusion| seconds(conclusion.at));
    let at_if = |wanted: &str| at.filter(|_| status == wanted);
    let accepted_at = seconds(job.accepted_at);
    Ok(BatchBody {
        id: name(&job.id),
        object: "batch",
        endpoint: batch.endpoint,
        errors: has_failed.then_some(BatchErrors { object: "list", data: batch.errors }),
        input_file_id: batch.input_file,
        completion_window: batch.window,
        status,
        output_file_id: conclusion.as_ref().and_then(|it| it.output_file.clone()).map(String::from),
        error_file_id: conclusion.as_ref().and_then(|it| it.error_file.clone()).map(String::from),
        created_at: accepted_at,
        in_progress_at: (!has_failed).then_some(accepted_at),
        expires_at: job.deadline_at.map(seconds),
        finalizing_at: job
            .finished_at
            .filter(|_| !has_failed && job.cancelled_at.is_none())
            .map(seconds),
        completed_at: at_if("completed"),
        failed_at: has_failed.then_some(accepted_at),
        expired_at: at_if("expired"),
        cancelling_at: job.cancelled_at.map(seconds),
        cancelled_at: at_if("cancelled"),
        request_counts,
        metadata: batch.metadata,
    })
}
