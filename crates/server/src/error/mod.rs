//! Every failure: why the service could not start, and every refusal of a request with its status. `shape.rs` writes
//! refusals. No message repeats content.

mod shape;

use std::path::PathBuf;
use std::time::Duration;

use axum::http::StatusCode;
use policy::Cause;
use store::StoreError;

pub(crate) use shape::{OpenAiError, Problem};

use crate::api::FindingBody;
use crate::door::Refusal;
use crate::settings::SettingsError;

/// Why the service could not start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Certificate or key cannot be used.
    #[error("{} and {}: no certificate with its key: {source}", cert.display(), key.display())]
    Tls {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The store cannot be opened.
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    /// Others could reach it, and there are no keys.
    #[error(
        "{address} can be reached from elsewhere, and the store has no keys: whoever comes by could use it"
    )]
    Open {
        /// The address.
        address: std::net::SocketAddr,
    },
    /// The guarded model's server cannot be used.
    #[error("serve.guard.upstream: {problem}")]
    Upstream {
        /// What is wrong with its address or key; neither is repeated.
        problem: &'static str,
    },
    /// Traces are wanted and cannot be sent.
    #[error("serve.traces: {problem}")]
    Traces {
        /// Why.
        problem: &'static str,
    },
    /// Nobody can be told anything by webhook.
    #[error("serve.webhooks: {problem}")]
    Webhooks {
        /// What is wrong; no URL or secret is repeated.
        problem: &'static str,
    },
    /// An origin that no header can hold.
    #[error("serve.cors.origins: {origin:?} is no origin")]
    Origin {
        /// The text.
        origin: String,
    },
    /// The policies' folder cannot be read.
    #[error("{}: the folder of policies cannot be read: {source}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A policy that cannot be served, at the start, when there is no earlier version.
    #[error("{0}")]
    Policy(crate::Fault),
    /// Settings that cannot hold.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The system gives no threads, or the listener failed.
    #[error("the service cannot run: {0}")]
    Run(#[from] std::io::Error),
}

/// Why a request, or one pair of it, has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("there is no such route; /openapi.json lists them")]
    NoRoute,
    #[error("the route does not take this method")]
    Method,
    #[error("the body must be JSON, with content-type: application/json")]
    MediaType,
    #[error("the body is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the body cannot be read to its end")]
    Broken,
    #[error("the body is not the JSON that the route takes: {problem}")]
    Json { problem: String },
    #[error("{field}: {problem}")]
    Field { field: String, problem: String },
    #[error("no policy {name} is served; there are: {known}")]
    UnknownPolicy { name: String, known: String },
    #[error("policy {name}: version {wanted} is not served; the one in service is {served}")]
    OtherVersion { name: String, wanted: String, served: String },
    #[error(
        "no policy is served, so nothing could be judged; put one into the folder of policies, or store one at /v1/policies/NAME"
    )]
    NoPolicies,
    #[error("{n} pairs of item and policy are asked for; the most in one request is {limit}")]
    TooMany { n: usize, limit: usize },
    #[error("too much waits already; try again in {} s", retry_after.as_secs())]
    Busy { retry_after: Duration },
    #[error("no verdict can be expected before the deadline; try again in {} s", retry_after.as_secs())]
    Late { retry_after: Duration },
    #[error("there is no model {name}; there are: {known}")]
    UnknownModel { name: String, known: String },
    #[error("the guarded model's server failed: {problem}")]
    Upstream { problem: &'static str },
    #[error("the decision could not be recorded, so it is not given")]
    Store,
    #[error("the service has no store; `safeguard serve --store URL` names one")]
    NoStore,
    #[error("there is no such decision")]
    NoDecision,
    #[error("the idempotency key was used for another request; send a new key with a new request")]
    KeyReused,
    #[error("the body must be a form, with content-type: multipart/form-data")]
    Form,
    #[error("web pages may not send this")]
    Page,
    #[error("the store cannot be read or written now")]
    StoreUnreadable,
    #[error("there is no {what} {id}")]
    Unknown { what: &'static str, id: String },
    #[error("{0}")]
    Conflict(String),
    #[error("the policy has faults that `safeguard policy lint` calls errors; it is not stored")]
    Faulty { findings: Vec<FindingBody> },
    #[error("the body must be the policy's Markdown, with content-type: text/markdown")]
    Markdown,
    #[error(transparent)]
    Door(#[from] Refusal),
    #[error("the query cannot be read")]
    Query,
    #[error("the service is stopping")]
    Stopping,
    #[error("policy {policy}: there is no verdict: {cause}")]
    Undetermined { policy: String, cause: Cause },
    #[error("the system has no random numbers")]
    Random,
}

impl ApiError {
    pub(crate) fn field(field: impl Into<String>, problem: impl Into<String>) -> ApiError {
        ApiError::Field { field: field.into(), problem: problem.into() }
    }

    /// What the store says of a request that it does not take; its own failures go to the log.
    pub(crate) fn of_store(error: StoreError) -> ApiError {
        match error {
            StoreError::Unknown { what: "decision", .. } => ApiError::NoDecision,
            StoreError::Unknown { what, id } => ApiError::Unknown { what, id },
            StoreError::Conflict { .. } | StoreError::TooMuch { .. } => {
                ApiError::Conflict(error.to_string())
            }
            StoreError::Review { field, problem } => ApiError::field(field, problem),
            StoreError::Id { what, text, .. } => ApiError::Unknown { what, id: text },
            error => {
                tracing::error!("the store failed: {error}");
                ApiError::StoreUnreadable
            }
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            ApiError::NoRoute => StatusCode::NOT_FOUND,
            ApiError::Method => StatusCode::METHOD_NOT_ALLOWED,
            ApiError::MediaType | ApiError::Form => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ApiError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            ApiError::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            ApiError::Page => StatusCode::FORBIDDEN,
            ApiError::NoDecision | ApiError::Unknown { .. } => StatusCode::NOT_FOUND,
            ApiError::Conflict(_) => StatusCode::CONFLICT,
            ApiError::Faulty { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            ApiError::Markdown => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ApiError::Door(refusal) => refusal.status(),
            ApiError::Store | ApiError::StoreUnreadable | ApiError::NoStore => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            ApiError::Broken | ApiError::Query | ApiError::Json { .. } => StatusCode::BAD_REQUEST,
            ApiError::Field { .. } | ApiError::TooMany { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            ApiError::UnknownPolicy { .. } | ApiError::UnknownModel { .. } => StatusCode::NOT_FOUND,
            ApiError::OtherVersion { .. } => StatusCode::CONFLICT,
            ApiError::Busy { .. } | ApiError::Late { .. } => StatusCode::TOO_MANY_REQUESTS,
            ApiError::Undetermined { cause: Cause::UnsupportedInput, .. } => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            ApiError::NoPolicies | ApiError::Stopping | ApiError::Undetermined { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            ApiError::Upstream { .. } => StatusCode::BAD_GATEWAY,
            ApiError::Random => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// A word for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            ApiError::NoRoute => "no_route",
            ApiError::Method => "method_not_allowed",
            ApiError::MediaType | ApiError::Form => "unsupported_media_type",
            ApiError::TooLarge { .. } => "too_large",
            ApiError::Broken => "broken_body",
            ApiError::Json { .. } => "invalid_json",
            ApiError::Field { .. } => "invalid_field",
            ApiError::UnknownPolicy { .. } => "unknown_policy",
            ApiError::OtherVersion { .. } => "other_version",
            ApiError::NoPolicies => "no_policies",
            ApiError::TooMany { .. } => "too_many_pairs",
            ApiError::Busy { .. } => "busy",
            ApiError::Late { .. } => "deadline",
            ApiError::UnknownModel { .. } => "model_not_found",
            ApiError::Upstream { .. } => "upstream",
            ApiError::Store | ApiError::StoreUnreadable => "store",
            ApiError::Unknown { .. } => "not_found",
            ApiError::Conflict(_) => "conflict",
            ApiError::Faulty { .. } => "faulty_policy",
            ApiError::Markdown => "unsupported_media_type",
            ApiError::Door(refusal) => refusal.code(),
            ApiError::NoStore => "no_store",
            ApiError::NoDecision => "no_decision",
            ApiError::KeyReused => "idempotency_key_reused",
            ApiError::Page => "web_page",
            ApiError::Query => "invalid_query",
            ApiError::Stopping => "stopping",
            ApiError::Undetermined { .. } => "undetermined",
            ApiError::Random => "no_random_numbers",
        }
    }

    /// How long a caller should wait before it asks again.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            ApiError::Busy { retry_after } | ApiError::Late { retry_after } => Some(*retry_after),
            ApiError::Stopping | ApiError::NoPolicies => Some(Duration::from_secs(5)),
            ApiError::Door(refusal) => refusal.retry_after(),
            _ => None,
        }
    }
}
