//! `/v1/policies/{name}/shadow`: a candidate version beside the live one, and where they disagree.

#![expect(unused_qualifications, reason = "utoipa's macro writes them")]

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use policy::PolicyId;
use serde::{Deserialize, Serialize};
use store::{Change, Compared, Decision, Disagreement};
use utoipa::{IntoParams, ToSchema};

use super::super::app::App;
use super::changes::{VersionChoice, change};
use super::{PolicyDetail, check_bound, detail, version};
use crate::door::Caller;
use crate::error::{ApiError, Problem};
use crate::wire::Json;

/// Which candidate, and how much of it.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportQuery {
    /// A version that is or was the candidate; by default the present one.
    version: Option<String>,
    /// Most disagreements listed, up to 1000; 100 by default.
    limit: Option<usize>,
}

/// What a candidate and the versions that acted said of the same items.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShadowReport {
    name: String,
    /// The candidate.
    candidate: String,
    /// Items that both judged.
    n_compared: i64,
    /// Those of them on which outcome or label differ.
    n_differ: i64,
    /// How often which outcome became which.
    outcomes: Vec<OutcomePair>,
    /// The same by label, where they differ.
    rules: Vec<RulePair>,
    /// The newest disagreements.
    disagreements: Vec<DisagreementBody>,
}

/// Outcomes, live and candidate's.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OutcomePair {
    live: String,
    candidate: String,
    n: i64,
}

/// Labels, live and candidate's; `null` where there is no verdict.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RulePair {
    live: Option<String>,
    candidate: Option<String>,
    n: i64,
}

/// One item on which they differ.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DisagreementBody {
    live: SaidBody,
    candidate: SaidBody,
}

/// What one of them said.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SaidBody {
    /// The decision's id.
    decision: String,
    /// The version's.
    policy_id: String,
    outcome: &'static str,
    label: Option<String>,
}

/// Let a stored version judge beside the live one
///
/// It judges after the live version what that decides, as far as the budget goes, and acts on nothing. One that
/// was there before is replaced.
#[utoipa::path(
    post, path = "/v1/policies/{name}/shadow", tag = "policies", params(("name" = String, Path)),
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
pub(crate) async fn begin(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    Json(choice): Json<VersionChoice>,
) -> Result<axum::Json<PolicyDetail>, ApiError> {
    check_bound(&caller, &name)?;
    let id = version::find(app.store()?, caller.tenant(), &name, &choice.version).await?;
    change(&app, &caller, &name, Change::Shadow(Some(id))).await?;
    detail(&app, &caller, &name).await.map(axum::Json)
}

/// End the trial of a candidate
///
/// What it said stays, and its report with it.
#[utoipa::path(
    delete, path = "/v1/policies/{name}/shadow", tag = "policies", params(("name" = String, Path)),
    responses(
        (status = 200, body = PolicyDetail),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn end(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<axum::Json<PolicyDetail>, ApiError> {
    check_bound(&caller, &name)?;
    candidate(&app, &caller, &name).await?;
    change(&app, &caller, &name, Change::Shadow(None)).await?;
    detail(&app, &caller, &name).await.map(axum::Json)
}

/// Where a candidate and the live version disagree
#[utoipa::path(
    get, path = "/v1/policies/{name}/shadow", tag = "policies",
    params(("name" = String, Path), ReportQuery),
    responses(
        (status = 200, body = ShadowReport),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn report(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    query: Result<Query<ReportQuery>, QueryRejection>,
) -> Result<axum::Json<ShadowReport>, ApiError> {
    let Query(query) = query.map_err(|_| ApiError::Query)?;
    check_bound(&caller, &name)?;
    let (store, tenant) = (app.store()?, caller.tenant());
    let id = match &query.version {
        Some(wanted) => version::find(store, tenant, &name, wanted).await?,
        None => candidate(&app, &caller, &name).await?,
    };
    let counted = store.comparison(tenant, &name, &id).await.map_err(ApiError::of_store)?;
    let limit = query.limit.unwrap_or(100);
    let listed = store.disagreements(tenant, &name, &id, limit).await;
    let listed = listed.map_err(ApiError::of_store)?;
    Ok(axum::Json(summary(name, &id, &counted, &listed)))
}

/// The present candidate.
async fn candidate(app: &App, caller: &Caller, name: &str) -> Result<PolicyId, ApiError> {
    app.store()?;
    let in_use = app.stored.of(caller.tenant()).await?;
    let candidate = in_use.shadow.get(name).map(|it| it.id.clone());
    let id = name.chars().take(200).collect();
    candidate.ok_or(ApiError::Unknown { what: "candidate beside the policy", id })
}

fn summary(
    name: String,
    id: &PolicyId,
    counted: &[Compared],
    listed: &[Disagreement],
) -> ShadowReport {
    let (mut outcomes, mut rules) = (BTreeMap::new(), BTreeMap::new());
    let mut n_differ = 0;
    for it in counted {
        let by_outcome = (it.live.0.clone(), it.shadow.0.clone());
        *outcomes.entry(by_outcome).or_insert(0) += it.n_pairs;
        if it.live != it.shadow {
            n_differ += it.n_pairs;
            *rules.entry((it.live.1.clone(), it.shadow.1.clone())).or_insert(0) += it.n_pairs;
        }
    }
    let outcome = |((live, candidate), n)| OutcomePair { live, candidate, n };
    let rule = |((live, candidate), n)| RulePair { live, candidate, n };
    ShadowReport {
        name,
        candidate: id.0.clone(),
        n_compared: counted.iter().map(|it| it.n_pairs).sum(),
        n_differ,
        outcomes: outcomes.into_iter().map(outcome).collect(),
        rules: rules.into_iter().map(rule).collect(),
        disagreements: listed
            .iter()
            .map(|it| DisagreementBody { live: said(&it.live), candidate: said(&it.shadow) })
            .collect(),
    }
}

fn said(decision: &Decision) -> SaidBody {
    SaidBody {
        decision: decision.id.to_string(),
        policy_id: decision.policy.id.0.clone(),
        outcome: decision.outcome.names().0,
        label: decision.label.clone(),
    }
}
