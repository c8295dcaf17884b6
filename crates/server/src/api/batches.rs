//! `/v1/batches`, in OpenAI's shape.

#![expect(unused_qualifications, reason = "utoipa's macro writes them")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use store::{Job, Millis, Notify, OnDeadline, Store};
use utoipa::{IntoParams, ToSchema};

use super::app::App;
use super::files::PURPOSE;
use super::page::check_page;
use crate::batches::{BatchBody, By, ENDPOINTS, parse as parse_file, parse_id};
use crate::door::Caller;
use crate::error::{ApiError, OpenAiError};
use crate::jobs::{Asked, BATCH, BATCH_SOURCE, BatchDetails, JobDetails, accept};
use crate::wire::{OpenAiJson, OpenAiRefusal};

/// The one window there is, and how long it is.
const WINDOW: (&str, Duration) = ("24h", Duration::from_secs(24 * 3600));
/// Most pairs of metadata, and most characters of a key and of a value.
const METADATA: (usize, usize, usize) = (16, 64, 512);

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
    caller: Caller,
    OpenAiJson(request): OpenAiJson<BatchRequest>,
) -> Result<axum::Json<BatchBody>, OpenAiRefusal> {
    let store = app.store()?;
    check(&request)?;
    let bytes = input(store, &caller, &request.input_file_id).await?;
    let by =
        By { served: app.served(&caller).await?, caller: caller.clone(), app: Arc::clone(&app) };
    let endpoint = request.endpoint.clone();
    let parsed = tokio::task::spawn_blocking(move || parse_file(&by, &endpoint, &bytes));
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
        source: BATCH_SOURCE.to_owned(),
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
    let id = accept(&app, &caller, asked).await?;
    let job = store.job(Some(caller.tenant()), &id).await.map_err(ApiError::of_store)?;
    Ok(axum::Json(BatchBody::read(store, &job).await?))
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
async fn input(store: &Store, caller: &Caller, id: &str) -> Result<Vec<u8>, ApiError> {
    let id = id.parse().map_err(ApiError::of_store)?;
    let file = store.file(caller.tenant(), &id).await.map_err(ApiError::of_store)?;
    if file.complete_at.is_none() {
        return Err(ApiError::Unknown { what: "file", id: id.to_string() });
    }
    if file.purpose != PURPOSE {
        return Err(ApiError::field("input_file_id", "the file's purpose must be batch"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(file.n_bytes).unwrap_or_default());
    for chunk_idx in 0.. {
        match store.file_chunk(&id, chunk_idx).await.map_err(ApiError::of_store)? {
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
    caller: Caller,
    query: Result<Query<BatchesQuery>, QueryRejection>,
) -> Result<axum::Json<BatchList>, OpenAiRefusal> {
    let Query(BatchesQuery { after, limit }) = query.map_err(|_| ApiError::Query)?;
    let store = app.store()?;
    let after = after.map(|id| parse_id(&id)).transpose()?;
    let limit = limit.unwrap_or(20).clamp(1, 100);
    let page = store.jobs(caller.tenant(), Some(BATCH), after.as_ref(), limit + 1).await;
    let page = page.map_err(ApiError::of_store)?;
    let mut data = Vec::new();
    for job in page.iter().take(limit) {
        data.push(BatchBody::read(store, job).await?);
    }
    let id = |batch: Option<&BatchBody>| batch.map(|batch| batch.id().to_owned());
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
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<BatchBody>, OpenAiRefusal> {
    let store = app.store()?;
    Ok(axum::Json(BatchBody::read(store, &find(store, &caller, &id).await?).await?))
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
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<axum::Json<BatchBody>, OpenAiRefusal> {
    check_page(&app, &headers)?;
    let store = app.store()?;
    let job = find(store, &caller, &id).await?;
    if store.cancel(caller.tenant(), &job.id).await.map_err(ApiError::of_store)? > 0 {
        app.metrics.jobs.job(BATCH, "cancelled");
    }
    Ok(axum::Json(BatchBody::read(store, &find(store, &caller, &id).await?).await?))
}

async fn find(store: &Store, caller: &Caller, id: &str) -> Result<Job, ApiError> {
    let missing = ApiError::Unknown { what: "batch", id: id.to_owned() };
    match store.job(Some(caller.tenant()), &parse_id(id)?).await {
        Ok(job) if job.kind == BATCH => Ok(job),
        Ok(_) | Err(store::StoreError::Unknown { .. }) => Err(missing),
        Err(error) => Err(ApiError::of_store(error)),
    }
}
