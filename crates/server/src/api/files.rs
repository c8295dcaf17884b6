//! `/v1/files`, in OpenAI's shape: what batches read, and what they leave.

#![expect(unused_qualifications, reason = "utoipa's macro writes them")]

use std::sync::Arc;

use axum::body::Body;
use axum::extract::multipart::{Field, Multipart, MultipartError, MultipartRejection};
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::try_unfold;
use serde::{Deserialize, Serialize};
use store::{CHUNK_BYTES, File, FileId, Store};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::page::check_page;
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
        .routes(routes!(upload, list))
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
        }
    }
}

/// A form with a file.
#[derive(ToSchema)]
#[expect(dead_code, reason = "its fields are read one by one")]
pub(crate) struct UploadForm {
    /// `batch`.
    purpose: String,
    /// JSON lines.
    #[schema(value_type = String, format = Binary)]
    file: String,
}

/// Upload a file for a batch
#[utoipa::path(
    post, path = "/v1/files", tag = "OpenAI",
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, body = FileBody),
        (status = 400, body = OpenAiError),
        (status = 403, description = "A web page asked", body = OpenAiError),
        (status = 413, body = OpenAiError),
        (status = 415, body = OpenAiError),
        (status = 422, body = OpenAiError),
        (status = 503, description = "There is no store, or it failed", body = OpenAiError),
    )
)]
pub(crate) async fn upload(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    form: Result<Multipart, MultipartRejection>,
) -> Result<axum::Json<FileBody>, OpenAiRefusal> {
    check_page(&app, &headers)?;
    let store = app.store()?;
    let mut form = form.map_err(|_| ApiError::Form)?;
    let mut upload =
        Upload { store, tenant: caller.tenant(), limit: app.settings.jobs.file_bytes, file: None };
    match upload.read(&mut form).await {
        Ok(id) => {
            store.finish_file(&id).await.map_err(ApiError::of_store)?;
            let file = store.file(caller.tenant(), &id).await.map_err(ApiError::of_store)?;
            Ok(axum::Json(FileBody::new(file)))
        }
        Err(error) => {
            if let Some(id) = upload.file {
                // What cannot be removed now is swept later.
                let _ = store.delete_file(caller.tenant(), &id).await;
            }
            // Who is still sending does not listen yet; the limit of bodies bounds this.
            while let Ok(Some(_)) = form.next_field().await {}
            Err(error.into())
        }
    }
}

/// A form on its way into the store.
struct Upload<'a> {
    store: &'a Store,
    tenant: &'a str,
    limit: usize,
    file: Option<FileId>,
}

impl Upload<'_> {
    async fn read(&mut self, form: &mut Multipart) -> Result<FileId, ApiError> {
        let mut purpose = None;
        while let Some(field) = form.next_field().await.map_err(|error| self.broken(&error))? {
            match field.name() {
                Some("purpose") => {
                    purpose = Some(field.text().await.map_err(|error| self.broken(&error))?);
                }
                Some("file") if self.file.is_none() => self.fill(field).await?,
                Some("file") => return Err(ApiError::field("file", "there are two")),
                _ => {
                    return Err(ApiError::field(
                        "a part of the form",
                        "only purpose and file are taken",
                    ));
                }
            }
        }
        match purpose.as_deref() {
            Some(PURPOSE) => {}
            Some(_) => return Err(ApiError::field("purpose", "must be batch")),
            None => return Err(ApiError::field("purpose", "there is none; it must be batch")),
        }
        self.file.clone().ok_or_else(|| ApiError::field("file", "there is none"))
    }

    /// Stores the file piece by piece, so that none is ever whole in memory.
    async fn fill(&mut self, mut field: Field<'_>) -> Result<(), ApiError> {
        let name = field.file_name().filter(|name| !name.is_empty()).unwrap_or("file");
        if !is_name(name) {
            let problem = "must be at most 200 bytes without control characters";
            return Err(ApiError::field("the file's name", problem));
        }
        let id =
            self.store.begin_file(self.tenant, name, PURPOSE).await.map_err(ApiError::of_store)?;
        self.file = Some(id.clone());
        let (mut chunk, mut n_bytes) = (Vec::with_capacity(CHUNK_BYTES), 0);
        while let Some(piece) = field.chunk().await.map_err(|error| self.broken(&error))? {
            n_bytes += piece.len();
            if n_bytes > self.limit {
                return Err(ApiError::TooLarge { limit: self.limit });
            }
            let mut rest = &piece[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(CHUNK_BYTES - chunk.len()));
                chunk.extend_from_slice(now);
                rest = later;
                if chunk.len() == CHUNK_BYTES {
                    self.store.add_to_file(&id, &chunk).await.map_err(ApiError::of_store)?;
                    chunk.clear();
                }
            }
        }
        if !chunk.is_empty() {
            self.store.add_to_file(&id, &chunk).await.map_err(ApiError::of_store)?;
        }
        Ok(())
    }

    fn broken(&self, error: &MultipartError) -> ApiError {
        match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => ApiError::TooLarge { limit: self.limit },
            _ => ApiError::Broken,
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
