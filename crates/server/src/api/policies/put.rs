//! `PUT /v1/policies/{name}`: a version is checked and stored; it does not act yet.

use std::sync::Arc;

use axum::extract::{Path, State};
use model::tokenizer::Tokenizer;
use policy::lint::{Report, lint};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::app::App;
use super::{FindingBody, check_bound};
use crate::door::Caller;
use crate::error::{ApiError, Problem};
use crate::selector::{INLINE, is_name};
use crate::wire::Markdown;

/// Most names of one tenant.
const MAX_NAMES: usize = 1000;

/// A version that is in the store.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StoredVersion {
    name: String,
    /// SHA-256 of its file.
    id: String,
    /// Whether it acts; a new one does not before it is activated.
    is_active: bool,
    /// What the linter warns of.
    findings: Vec<FindingBody>,
}

/// Store a version of a policy
///
/// The body is the policy's Markdown; its SHA-256 is the version. It does not act before it is activated. One
/// with faults that the linter calls errors is refused, with all findings.
#[utoipa::path(
    put, path = "/v1/policies/{name}", tag = "policies", params(("name" = String, Path)),
    request_body(content = String, content_type = "text/markdown"),
    responses(
        (status = 200, body = StoredVersion),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 413, body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A name that none can have, or a policy with faults", body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    Markdown(bytes): Markdown,
) -> Result<axum::Json<StoredVersion>, ApiError> {
    check_name(&name)?;
    check_bound(&caller, &name)?;
    let store = app.store()?;
    let report = linted(bytes.to_vec()).await?;
    let findings: Vec<FindingBody> = report.policy.iter().map(FindingBody::new).collect();
    if report.has_errors() {
        return Err(ApiError::Faulty { findings });
    }
    let known = store.policies(caller.tenant()).await.map_err(ApiError::of_store)?;
    if known.len() >= MAX_NAMES && !known.iter().any(|it| it.name == name) {
        return Err(ApiError::Conflict(format!("there are {MAX_NAMES} policies already")));
    }
    let added = store.add_policy(caller.tenant(), &name, &bytes).await;
    let id = added.map_err(ApiError::of_store)?.id;
    let in_use = store.policy_in_use(caller.tenant(), &name).await.map_err(ApiError::of_store)?;
    let is_active = in_use.active.as_ref() == Some(&id);
    Ok(axum::Json(StoredVersion { name, id: id.0, is_active, findings }))
}

/// A name that selectors, metrics and every store can hold.
fn check_name(name: &str) -> Result<(), ApiError> {
    let is_good = !name.is_empty()
        && name != INLINE
        && name.trim() == name
        && is_name(name)
        && !name.contains(['@', '/']);
    if is_good {
        return Ok(());
    }
    let problem =
        "1 to 200 bytes without control characters, `@`, `/` or spaces around it, and not `inline`";
    Err(ApiError::field("name", problem))
}

/// Looks for faults, off the threads that answer requests.
async fn linted(bytes: Vec<u8>) -> Result<Report, ApiError> {
    let count = |text: &str| Tokenizer::o200k_harmony().encode(text).len();
    let report = tokio::task::spawn_blocking(move || lint(&bytes, None, &count)).await;
    // A task that did not end was stopped with the service.
    report.map_err(|_| ApiError::Stopping)
}
