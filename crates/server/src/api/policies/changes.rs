//! Which version acts: activated, rolled back, withdrawn. The chain records each change.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde::Deserialize;
use store::Change;
use utoipa::ToSchema;

use super::super::app::App;
use super::{PolicyDetail, check_bound, detail, version};
use crate::door::Caller;
use crate::error::{ApiError, Problem};
use crate::wire::Json;

/// A stored version.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VersionChoice {
    /// At least 4 of its digits.
    #[schema(example = "3f2a9c")]
    pub(super) version: String,
}

/// Nothing: `{}`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// Let a stored version act
///
/// Requests that come from now on are judged by it, also where the folder has a policy of this name.
#[utoipa::path(
    post, path = "/v1/policies/{name}/activate", tag = "policies", params(("name" = String, Path)),
    request_body = VersionChoice,
    responses(
        (status = 200, body = PolicyDetail),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 413, body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn activate(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    Json(choice): Json<VersionChoice>,
) -> Result<axum::Json<PolicyDetail>, ApiError> {
    check_bound(&caller, &name)?;
    let id = version::find(app.store()?, caller.tenant(), &name, &choice.version).await?;
    change(&app, &caller, &name, Change::Activate(id)).await?;
    detail(&app, &caller, &name).await.map(axum::Json)
}

/// Take back the last change of what acts
///
/// Activations and withdrawals are undone one by one.
#[utoipa::path(
    post, path = "/v1/policies/{name}/rollback", tag = "policies", params(("name" = String, Path)),
    request_body = Nothing,
    responses(
        (status = 200, body = PolicyDetail),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "No earlier version has acted", body = Problem, content_type = "application/problem+json"),
        (status = 413, body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn roll_back(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    Json(_nothing): Json<Nothing>,
) -> Result<axum::Json<PolicyDetail>, ApiError> {
    detail(&app, &caller, &name).await?;
    change(&app, &caller, &name, Change::RollBack).await?;
    detail(&app, &caller, &name).await.map(axum::Json)
}

/// Take a policy of the store out of use
///
/// Its versions stay, for decisions rest on them. If the folder has a policy of this name, that acts again.
#[utoipa::path(
    delete, path = "/v1/policies/{name}", tag = "policies", params(("name" = String, Path)),
    responses(
        (status = 200, body = PolicyDetail),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn withdraw(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<axum::Json<PolicyDetail>, ApiError> {
    detail(&app, &caller, &name).await?;
    change(&app, &caller, &name, Change::Withdraw).await?;
    detail(&app, &caller, &name).await.map(axum::Json)
}

/// Records a change; when it returns, this server judges by it, and others within a second.
pub(super) async fn change(
    app: &App,
    caller: &Caller,
    name: &str,
    change: Change,
) -> Result<(), ApiError> {
    let changed = app.store()?.change_policy(caller.tenant(), name, change, caller.actor()).await;
    // What went wrong may still have been done.
    app.stored.forget();
    changed.map(drop).map_err(ApiError::of_store)
}
