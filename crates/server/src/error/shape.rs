//! Refusals in the two shapes that most callers read: RFC 9457 problems on our routes, OpenAI's error object on
//! theirs; `api/predict.rs` and `api/perspective/` have shapes of their own.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ApiError;
use crate::api::FindingBody;

impl ApiError {
    /// The problem as our routes write it.
    pub(crate) fn problem(&self) -> Problem {
        let status = self.status();
        Problem {
            kind: format!("urn:safeguard:{}", self.code()),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            detail: self.to_string(),
            findings: match self {
                ApiError::Faulty { findings } => findings.clone(),
                _ => Vec::new(),
            },
        }
    }

    /// The error in OpenAI's shape.
    pub(crate) fn openai(&self) -> OpenAiError {
        let status = self.status();
        let kind = match status.as_u16() {
            429 => "rate_limit_exceeded",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        let param = match self {
            ApiError::Field { field, .. } => Some(field.clone()),
            _ => None,
        };
        let error = OpenAiErrorBody {
            message: self.to_string(),
            kind: kind.to_owned(),
            param,
            code: Some(self.code().to_owned()),
        };
        OpenAiError { error }
    }

    /// A response in OpenAI's shape.
    pub(crate) fn into_openai(self) -> Response {
        self.finish((self.status(), Json(self.openai())).into_response())
    }

    /// Adds the headers that a refusal has in every shape.
    pub(crate) fn finish(&self, mut response: Response) -> Response {
        if let Some(wait) = self.retry_after() {
            // Rounded up: whoever comes back a little early is refused again.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if self.status() == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

impl IntoResponse for ApiError {
    /// As a problem; routes of OpenAI's shape use [`ApiError::into_openai`].
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(self.problem())).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        self.finish(response)
    }
}

/// What went wrong, as of RFC 9457.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Problem {
    /// `urn:safeguard:` and a word for programs.
    #[serde(rename = "type")]
    kind: String,
    /// The status in words.
    title: String,
    /// The status.
    status: u16,
    /// What went wrong and where.
    detail: String,
    /// What is wrong with a policy, place by place.
    // Problems that are kept with a job are not of this kind.
    #[serde(skip_deserializing, skip_serializing_if = "Vec::is_empty")]
    findings: Vec<FindingBody>,
}

/// OpenAI's error object.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenAiError {
    error: OpenAiErrorBody,
}

/// What is in it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenAiErrorBody {
    /// What went wrong and where.
    message: String,
    /// `invalid_request_error`, `rate_limit_exceeded` or `server_error`.
    #[serde(rename = "type")]
    kind: String,
    /// The field at fault.
    param: Option<String>,
    /// A word for programs.
    code: Option<String>,
}
