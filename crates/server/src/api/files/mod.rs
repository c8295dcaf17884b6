//! `/v1/files`, in OpenAI's shape: what batches read, and what they leave.

#![expect(unused_qualifications, reason = "utoipa's macro writes them")]

mod upload;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream::try_unfold;
use serde::{Deserialize, Serialize};
use store::{File, FileId, Store};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use crate::door::Caller;
use crate::error::{ApiError, OpenAiError};
use crate::selector::is_name;
use crate::wire::OpenAiRefusal;

/// What files of callers are for.
pub(crate) const PURPOSE: &str = "batch";
/// Bytes of a form around its file.
const FORM_BYTES: usize = 64 << 10;

/// The routes, with a limit of their own.
pub(super) fn routes(file_bytes: usize) -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(upload::upload, list))
        .routes(routes!(retrieve, delete))
        .routes(routes!(content))
        .layer(DefaultBodyLimit::max(file_bytes + FORM_BYTES))
}

/// A file without its bytes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FileBody {
    id: String,
    object: &'static str,
    bytes: i64,
    /// Seconds since 1970.
    created_at: i64,
    filename: String,
    /// `batch` or `batch_output`.
    purpose: String,
    /// `processed`.
    status: &'static str,
    /// When it goes by its caller's wish, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
}

impl FileBody {
    fn new(file: File) -> FileBody {
        FileBody {
            id: file.id.to_string(),
            object: "file",
            bytes: file.n_bytes,
            created_at: file.created_at.0 / 1000,
            filename: file.name,
            purpose: file.purpose,
            status: "processed",
            expires_at: file.expires_at.map(|at| at.0 / 1000),
        }
    }
}

/// Which files.
#[derive(Deserialize, IntoParams)]
pub(crate) struct FilesQuery {
    /// `batch` or `batch_output`.
    purpose: Option<String>,
    /// Older than this file.
    after: Option<String>,
    /// Most files, up to 999; 100 by default.
    limit: Option<usize>,
    /// `desc`: newest first.
    order: Option<String>,
}

/// A page of files.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FileList {
    object: &'static str,
    data: Vec<FileBody>,
    first_id: Option<String>,
    last_id: Option<String>,
    has_more: bool,
}

/// The files, newest first
#[utoipa::path(
    get, path = "/v1/files", tag = "OpenAI", params(FilesQuery),
    responses(
        (status = 200, body = FileList),
        (status = 400, body = OpenAiError),
        (status = 404, description = "`after` is no file", body = OpenAiError),
        (status = 422, body = OpenAiError),
        (status = 503, description = "There is no store, or it failed", body = OpenAiError),
    )
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: Result<Query<FilesQuery>, QueryRejection>,
) -> Result<axum::Json<FileList>, OpenAiRefusal> {
    let Query(FilesQuery { purpose, after, limit, order }) = query.map_err(|_| ApiError::Query)?;
    let store = app.store()?;
    if order.is_some_and(|order| order != "desc") {
        return Err(ApiError::field("order", "must be desc").into());
    }
    if purpose.as_deref().is_some_and(|purpose| !is_name(purpose)) {
        return Err(ApiError::Query.into());
    }
    let after = after.map(|id| parse(&id)).transpose()?;
    let limit = limit.unwrap_or(100).clamp(1, 999);
    let page = store.files(caller.tenant(), purpose.as_deref(), after.as_ref(), limit + 1).await;
    let mut page = page.map_err(ApiError::of_store)?;
    let has_more = page.len() > limit;
    page.truncate(limit);
    let data: Vec<FileBody> = page.into_iter().map(FileBody::new).collect();
    let id = |file: Option<&FileBody>| file.map(|file| file.id.clone());
    let (first_id, last_id) = (id(data.first()), id(data.last()));
    Ok(axum::Json(FileList { object: "list", data, first_id, last_id, has_more }))
}

/// One file without its bytes
#[utoipa::path(
    get, path = "/v1/files/{id}", tag = "OpenAI", params(("id" = String, Path, description = "As the upload gave it")),
    responses(
        (status = 200, body = FileBody),
        (status = 404, body = OpenAiError),
        (status = 503, description = "There is no store, or it failed", body = OpenAiError),
    )
)]
pub(crate) async fn retrieve(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<FileBody>, OpenAiRefusal> {
    Ok(axum::Json(FileBody::new(find(&app, &caller, &id).await?.1)))
}

/// A file that is gone.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FileGone {
    id: String,
    object: &'static str,
    deleted: bool,
}

/// Delete a file
#[utoipa::path(
    delete, path = "/v1/files/{id}", tag = "OpenAI", params(("id" = String, Path, description = "As the upload gave it")),
    responses(
        (status = 200, body = FileGone),
        (status = 404, body = OpenAiError),
        (status = 503, description = "There is no store, or it failed", body = OpenAiError),
    )
)]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<FileGone>, OpenAiRefusal> {
    let (store, file) = find(&app, &caller, &id).await?;
    store.delete_file(caller.tenant(), &file.id).await.map_err(ApiError::of_store)?;
    Ok(axum::Json(FileGone { id: file.id.to_string(), object: "file", deleted: true }))
}

/// A file's bytes
#[utoipa::path(
    get, path = "/v1/files/{id}/content", tag = "OpenAI", params(("id" = String, Path, description = "As the upload gave it")),
    responses(
        (status = 200, body = String, content_type = "application/octet-stream"),
        (status = 404, body = OpenAiError),
        (status = 503, description = "There is no store, or it failed", body = OpenAiError),
    )
)]
pub(crate) async fn content(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, OpenAiRefusal> {
    let (store, file) = find(&app, &caller, &id).await?;
    let chunks = try_unfold((store.clone(), file.id, 0), async |(store, id, chunk_idx)| {
        let chunk = store.file_chunk(&id, chunk_idx).await?;
        Ok::<_, store::StoreError>(chunk.map(|chunk| (chunk, (store, id, chunk_idx + 1))))
    });
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, file.n_bytes.to_string()),
    ];
    Ok((headers, Body::from_stream(chunks)).into_response())
}

async fn find<'a>(app: &'a App, caller: &Caller, id: &str) -> Result<(&'a Store, File), ApiError> {
    let store = app.store()?;
    let file = store.file(caller.tenant(), &parse(id)?).await.map_err(ApiError::of_store)?;
    // One that is still being written is not there yet.
    if file.complete_at.is_none() {
        return Err(ApiError::Unknown { what: "file", id: id.to_owned() });
    }
    Ok((store, file))
}

fn parse(id: &str) -> Result<FileId, ApiError> {
    id.parse().map_err(ApiError::of_store)
}
