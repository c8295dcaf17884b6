//! `/v1/policies`: a tenant's policies as resources.
//!
//! Here they are read; `put.rs` stores versions, `changes.rs` says which one acts, `shadow.rs` tries candidates
//! and tells what they say, `version.rs` finds one by its digits.

mod changes;
mod finding;
mod put;
mod shadow;
mod version;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use policy::{Policy, Rule};
use serde::Serialize;
use store::Store;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use finding::FindingBody;

use super::app::App;
use crate::door::Caller;
use crate::error::{ApiError, Problem};
use crate::shelf::Shelved;

/// Its routes.
pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one, put::put, changes::withdraw))
        .routes(routes!(text))
        .routes(routes!(changes::activate))
        .routes(routes!(changes::roll_back))
        .routes(routes!(shadow::report, shadow::begin, shadow::end))
}

/// All policies of the caller's tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Policies {
    /// In order of names.
    policies: Vec<PolicyEntry>,
}

/// One name, and what stands under it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PolicyEntry {
    name: String,
    /// The version that acts, the SHA-256 of its file; `null` where none does.
    id: Option<String>,
    /// Where it comes from: `store` or `folder`.
    source: Option<&'static str>,
    /// Its first heading.
    title: Option<String>,
    /// The folder's version of this name, which acts while none of the store does.
    folder: Option<String>,
    /// The candidate that judges beside it.
    shadow: Option<String>,
}

/// A policy with its rules and its versions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PolicyDetail {
    #[serde(flatten)]
    entry: PolicyEntry,
    /// The rules of the version that acts; none where it is free text.
    rules: Vec<RuleBody>,
    /// Versions in the store, newest first.
    versions: Vec<VersionBody>,
}

/// A coded rule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleBody {
    code: String,
    /// `violating` or `safe`.
    side: String,
    name: Option<String>,
    text: String,
}

/// A stored version.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VersionBody {
    /// SHA-256 of its file.
    id: String,
    /// When it was stored under this name first.
    added_at: String,
    /// Whether it acts.
    is_active: bool,
    /// Whether it is the candidate.
    is_shadow: bool,
}

/// A tenant's policies, from the folder and from the store.
struct Known {
    folder: Arc<crate::shelf::Served>,
    in_use: Arc<crate::stored::InUse>,
}

impl Known {
    async fn of(app: &App, caller: &Caller) -> Result<Known, ApiError> {
        Ok(Known { folder: app.folder_of(caller), in_use: app.stored.of(caller.tenant()).await? })
    }

    fn acting(&self, name: &str) -> Option<(&Shelved, &'static str)> {
        let stored = self.in_use.active.get(name).map(|it| (it, "store"));
        stored.or_else(|| self.folder.policies.get(name).map(|it| (it, "folder")))
    }

    fn entry(&self, name: &str) -> PolicyEntry {
        let acting = self.acting(name);
        let id = |it: Option<&Shelved>| it.map(|it| it.id.0.clone());
        PolicyEntry {
            name: name.to_owned(),
            id: id(acting.map(|it| it.0)),
            source: acting.map(|it| it.1),
            title: acting.and_then(|it| it.0.title.clone()),
            folder: id(self.folder.policies.get(name)),
            shadow: id(self.in_use.shadow.get(name)),
        }
    }
}

/// Which policies there are
///
/// A version of the store that is active goes before the file of the folder with the same name.
#[utoipa::path(
    get, path = "/v1/policies", tag = "policies",
    responses(
        (status = 200, body = Policies),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<axum::Json<Policies>, ApiError> {
    let known = Known::of(&app, &caller).await?;
    let mut names: BTreeSet<String> = known.folder.policies.keys().cloned().collect();
    names.extend(known.in_use.active.keys().cloned());
    if let Ok(store) = app.store() {
        let stored = store.policies(caller.tenant()).await.map_err(ApiError::of_store)?;
        names.extend(stored.into_iter().map(|it| it.name));
    }
    let may_see = |name: &&String| caller.bound_to().is_none_or(|bound| bound.contains(*name));
    let policies = names.iter().filter(may_see).map(|name| known.entry(name)).collect();
    Ok(axum::Json(Policies { policies }))
}

/// One policy, its rules and its versions
#[utoipa::path(
    get, path = "/v1/policies/{name}", tag = "policies", params(("name" = String, Path)),
    responses(
        (status = 200, body = PolicyDetail),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<axum::Json<PolicyDetail>, ApiError> {
    detail(&app, &caller, &name).await.map(axum::Json)
}

/// What is known of one name.
///
/// # Errors
/// [`ApiError::Unknown`] where that is nothing.
async fn detail(app: &App, caller: &Caller, name: &str) -> Result<PolicyDetail, ApiError> {
    check_bound(caller, name)?;
    let known = Known::of(app, caller).await?;
    let versions = match app.store() {
        Ok(store) => versions(store, caller, name).await?,
        Err(_) => Vec::new(),
    };
    let acting = known.acting(name).map(|it| it.0);
    if acting.is_none() && versions.is_empty() {
        return Err(unknown(name));
    }
    let rules = acting.map(|policy| rules(policy)).unwrap_or_default();
    Ok(PolicyDetail { entry: known.entry(name), rules, versions })
}

fn rules(policy: &Policy) -> Vec<RuleBody> {
    let body = |rule: &Rule| RuleBody {
        code: rule.code.clone(),
        side: rule.side.to_string(),
        name: rule.name.clone(),
        text: rule.text.clone(),
    };
    policy.rules.iter().map(body).collect()
}

async fn versions(
    store: &Store,
    caller: &Caller,
    name: &str,
) -> Result<Vec<VersionBody>, ApiError> {
    let versions =
        store.policy_versions(caller.tenant(), name).await.map_err(ApiError::of_store)?;
    let body = |version: store::PolicyVersion| VersionBody {
        id: version.policy.id.0,
        added_at: version.added_at.rfc3339(),
        is_active: version.is_active,
        is_shadow: version.is_shadow,
    };
    Ok(versions.into_iter().map(body).collect())
}

/// The text of a version
///
/// Byte for byte as it was stored.
#[utoipa::path(
    get, path = "/v1/policies/{name}/versions/{version}", tag = "policies",
    params(("name" = String, Path), ("version" = String, Path, description = "At least 4 digits of it")),
    responses(
        (status = 200, body = String, content_type = "text/markdown"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn text(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((name, wanted)): Path<(String, String)>,
) -> Result<impl IntoResponse, ApiError> {
    check_bound(&caller, &name)?;
    let known = Known::of(&app, &caller).await?;
    let folder = known.folder.policies.get(&name).filter(|it| version::is_named(&it.id, &wanted));
    let bytes = match folder {
        Some(shelved) => shelved.bytes.to_vec(),
        None => {
            let store = app.store()?;
            let id = version::find(store, caller.tenant(), &name, &wanted).await?;
            store.policy_bytes(&id).await.map_err(ApiError::of_store)?
        }
    };
    Ok(([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], bytes))
}

/// A key that is bound to other policies does not hear of this one.
fn check_bound(caller: &Caller, name: &str) -> Result<(), ApiError> {
    match caller.bound_to() {
        Some(bound) if !bound.iter().any(|it| it == name) => Err(unknown(name)),
        _ => Ok(()),
    }
}

fn unknown(name: &str) -> ApiError {
    // A name may be anything that a URL can hold; a message need not repeat all of it.
    ApiError::Unknown { what: "policy", id: name.chars().take(200).collect() }
}
