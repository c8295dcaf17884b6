//! Refusals in the shape of Google's services, with Perspective's words.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::error::ApiError;

/// What a refusal's details are called.
const DETAILS: &str = "type.googleapis.com/google.commentanalyzer.v1alpha1.Error";

/// What Perspective called it.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Request,
    Empty,
    NoAttributes,
    Language { attribute: String, named: Vec<String> },
}

/// A refusal.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Of this shape alone.
    Own { kind: Kind, message: String },
    /// As on other routes.
    Api(ApiError),
}

impl Refusal {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Refusal {
        Refusal::Own { kind, message: message.into() }
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Refusal {
        Refusal::Api(error)
    }
}

/// Google's error object.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GoogleError {
    error: GoogleErrorBody,
}

/// What is in it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GoogleErrorBody {
    /// The status.
    code: u16,
    /// What went wrong and where.
    message: String,
    /// A word for programs.
    status: &'static str,
    /// Perspective's `errorType`, or this service's word.
    #[schema(value_type = Vec<Object>)]
    details: Vec<Value>,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = match self {
            Refusal::Own { kind, message } => {
                return response(StatusCode::BAD_REQUEST, message, kind.details());
            }
            Refusal::Api(error) => error,
        };
        // The shape has no word for 422.
        let status = match error.status() {
            StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
            status => status,
        };
        let details = match status {
            StatusCode::BAD_REQUEST => Kind::Request.details(),
            _ => json!({ "@type": DETAILS, "reason": error.code() }),
        };
        error.finish(response(status, error.to_string(), details))
    }
}

fn response(status: StatusCode, message: String, details: Value) -> Response {
    let word = match status.as_u16() {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    };
    let details = vec![details];
    let error = GoogleErrorBody { code: status.as_u16(), message, status: word, details };
    (status, axum::Json(GoogleError { error })).into_response()
}

impl Kind {
    fn details(&self) -> Value {
        let word = match self {
            Kind::Request => "INVALID_REQUEST",
            Kind::Empty => "COMMENT_EMPTY",
            Kind::NoAttributes => "NO_REQUESTED_ATTRIBUTES",
            Kind::Language { .. } => "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE",
        };
        let mut details = json!({ "@type": DETAILS, "errorType": word });
        if let Kind::Language { attribute, named } = self {
            details["languageNotSupportedByAttributeError"] =
                json!({ "attribute": attribute, "requestedLanguages": named });
        }
        details
    }
}
