//! `/healthz`, `/readyz`, `/metrics`: whether it runs, and how.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::app::App;

/// Whether the program runs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`.
    status: &'static str,
}

/// Whether requests are taken, and what is amiss.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// `ready`, or `stopping`.
    status: &'static str,
    /// The judge's model.
    model: String,
    /// Policies of the folder in service with their versions; untold where keys are asked for, as this route asks
    /// for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    policies: Option<Vec<ServedPolicy>>,
    /// Files that cannot be served as they are now; an earlier version goes on where there was one. Untold like
    /// the policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    faults: Option<Vec<FaultBody>>,
}

/// A policy in service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServedPolicy {
    name: String,
    /// SHA-256 of its file.
    id: String,
}

/// A policy's file that cannot be served.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FaultBody {
    file: String,
    problem: String,
    /// Whether an earlier version goes on.
    is_served: bool,
}

/// Whether the program runs
#[utoipa::path(get, path = "/healthz", tag = "service", responses((status = 200, body = Health)))]
pub(crate) async fn healthz() -> axum::Json<Health> {
    axum::Json(Health { status: "ok" })
}

/// Whether requests are taken
#[utoipa::path(
    get, path = "/readyz", tag = "service",
    responses((status = 200, body = Readiness), (status = 503, description = "Stopping", body = Readiness))
)]
pub(crate) async fn readyz(State(app): State<Arc<App>>) -> impl IntoResponse {
    let served = app.shelf.folder();
    let policies = served.policies.values();
    let faults = served.faults.iter().map(|fault| FaultBody {
        file: fault.file.display().to_string(),
        problem: fault.problem.clone(),
        is_served: fault.is_served,
    });
    let (code, status) = match app.is_stopping() {
        true => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        false => (StatusCode::OK, "ready"),
    };
    let is_told = !app.door.is_locked();
    let readiness = Readiness {
        status,
        model: app.model.clone(),
        policies: is_told.then(|| {
            policies.map(|it| ServedPolicy { name: it.name.clone(), id: it.id.0.clone() }).collect()
        }),
        faults: is_told.then(|| faults.collect()),
    };
    (code, axum::Json(readiness))
}

/// Numbers for Prometheus
#[utoipa::path(
    get, path = "/metrics", tag = "service",
    responses((status = 200, body = String, content_type = "text/plain"))
)]
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    let mut text = app.metrics.text();
    if let Some(before) = &app.before {
        text += &before.metrics();
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}
