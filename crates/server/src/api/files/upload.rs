//! A file on its way in, as a form that is read piece by piece.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::multipart::{Field, Multipart, MultipartError, MultipartRejection};
use axum::http::{HeaderMap, StatusCode};
use store::{CHUNK_BYTES, FileId, Millis, Store};
use utoipa::ToSchema;

use super::{FileBody, PURPOSE};
use crate::api::app::App;
use crate::api::page::check_page;
use crate::door::Caller;
use crate::error::{ApiError, OpenAiError};
use crate::selector::is_name;
use crate::wire::OpenAiRefusal;

/// Seconds after which a file may go at its caller's wish, as OpenAI has them.
const EXPIRES_AFTER: std::ops::RangeInclusive<u64> = 3_600..=2_592_000;

/// A form with a file.
#[derive(ToSchema)]
#[expect(dead_code, reason = "its fields are read one by one")]
pub(crate) struct UploadForm {
    /// `batch`.
    purpose: String,
    /// JSON lines.
    #[schema(value_type = String, format = Binary)]
    file: String,
    /// `created_at`.
    #[schema(rename = "expires_after[anchor]")]
    anchor: Option<String>,
    /// Seconds after which the file is gone, 3600 to 2592000.
    #[schema(rename = "expires_after[seconds]")]
    seconds: Option<u64>,
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
    let (tenant, limit) = (caller.tenant(), app.settings.jobs.file_bytes);
    let mut upload = Upload { store, tenant, limit, file: None, wishes: Wishes::default() };
    match upload.read(&mut form).await {
        Ok((id, expires_at)) => {
            store.finish_file(&id, expires_at).await.map_err(ApiError::of_store)?;
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
    wishes: Wishes,
}

/// What a form says beside its file.
#[derive(Default)]
struct Wishes {
    purpose: Option<String>,
    anchor: Option<String>,
    seconds: Option<String>,
}

impl Wishes {
    /// Where a part of this name goes.
    fn place(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name {
            "purpose" => Some(&mut self.purpose),
            "expires_after[anchor]" => Some(&mut self.anchor),
            "expires_after[seconds]" => Some(&mut self.seconds),
            _ => None,
        }
    }

    /// When the file is to go; none where nothing was said.
    fn check(&self) -> Result<Option<Millis>, ApiError> {
        match self.purpose.as_deref() {
            Some(PURPOSE) => {}
            Some(_) => return Err(ApiError::field("purpose", "must be batch")),
            None => return Err(ApiError::field("purpose", "there is none; it must be batch")),
        }
        let seconds = match (self.anchor.as_deref(), self.seconds.as_deref()) {
            (None, None) => return Ok(None),
            (Some("created_at"), Some(seconds)) => seconds,
            _ => {
                let problem = "it wants `[anchor]`, which must be created_at, and `[seconds]`";
                return Err(ApiError::field("expires_after", problem));
            }
        };
        let seconds = seconds.parse().ok().filter(|seconds| EXPIRES_AFTER.contains(seconds));
        let seconds = seconds
            .ok_or_else(|| ApiError::field("expires_after[seconds]", "must be 3600 to 2592000"))?;
        Ok(Some(Millis::now().after(Duration::from_secs(seconds))))
    }
}

impl Upload<'_> {
    async fn read(&mut self, form: &mut Multipart) -> Result<(FileId, Option<Millis>), ApiError> {
        while let Some(field) = form.next_field().await.map_err(|error| self.broken(&error))? {
            match field.name() {
                Some("file") if self.file.is_none() => self.fill(field).await?,
                Some("file") => return Err(ApiError::field("file", "there are two")),
                _ => self.wish(field).await?,
            }
        }
        let expires_at = self.wishes.check()?;
        let file = self.file.clone().ok_or_else(|| ApiError::field("file", "there is none"))?;
        Ok((file, expires_at))
    }

    async fn wish(&mut self, field: Field<'_>) -> Result<(), ApiError> {
        let name = field.name().unwrap_or_default().to_owned();
        let Some(place) = self.wishes.place(&name) else {
            let problem = "only purpose, file and expires_after are taken";
            return Err(ApiError::field("a part of the form", problem));
        };
        match field.text().await {
            Ok(text) => *place = Some(text),
            Err(error) => return Err(self.broken(&error)),
        }
        Ok(())
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
