//! `/v1/webhooks/deliveries`: what webhooks are told, have heard, or never heard.

#![expect(unused_qualifications, reason = "utoipa's macro writes them")]

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use store::{Delivery, DeliveryId, DeliveryState, Event};
use utoipa::{IntoParams, ToSchema};

use super::app::App;
use super::page::check_page;
use crate::door::Caller;
use crate::error::{ApiError, Problem};

/// Which deliveries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeliveriesQuery {
    /// `due`, `delivered` or `dead`.
    #[param(value_type = Option<String>)]
    state: Option<DeliveryState>,
    /// Older than this delivery.
    before: Option<String>,
    /// Most deliveries, up to 1000; 100 by default.
    limit: Option<usize>,
}

/// A page of deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Deliveries {
    /// Newest first.
    deliveries: Vec<DeliveryBody>,
    /// `before` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// One message to a webhook.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryBody {
    /// The same at every try: `webhook-id`.
    id: String,
    job: String,
    /// `item.done`, `job.finished` or `job.deadline_passed`.
    event: &'static str,
    item: Option<String>,
    decision: Option<String>,
    /// `due`, `delivered` or `dead`.
    #[schema(value_type = String)]
    state: DeliveryState,
    /// Where to, without its query.
    url: String,
    created_at: String,
    /// Tries that failed.
    attempts: i64,
    /// When the next try is due.
    next_at: Option<String>,
    /// What the last failed try said.
    last_error: Option<String>,
    delivered_at: Option<String>,
    dead_at: Option<String>,
}

impl DeliveryBody {
    fn new(delivery: &Delivery) -> DeliveryBody {
        let url = &delivery.url;
        DeliveryBody {
            id: delivery.id.to_string(),
            job: delivery.job.to_string(),
            event: match delivery.event {
                Event::ItemDone => "item.done",
                Event::JobFinished => "job.finished",
                Event::DeadlinePassed => "job.deadline_passed",
            },
            item: delivery.item.as_ref().map(ToString::to_string),
            decision: delivery.decision.as_ref().map(ToString::to_string),
            state: delivery.state(),
            url: url.split_once('?').map_or(url.as_str(), |(before, _)| before).to_owned(),
            created_at: delivery.created_at.rfc3339(),
            attempts: delivery.attempts,
            next_at: delivery.next_at.map(|at| at.rfc3339()),
            last_error: delivery.last_error.clone(),
            delivered_at: delivery.delivered_at.map(|at| at.rfc3339()),
            dead_at: delivery.dead_at.map(|at| at.rfc3339()),
        }
    }
}

/// What webhooks are told
#[utoipa::path(
    get, path = "/v1/webhooks/deliveries", tag = "ours", params(DeliveriesQuery),
    responses(
        (status = 200, body = Deliveries),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`before` is no delivery", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "There is no store, or it failed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn deliveries(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: Result<Query<DeliveriesQuery>, QueryRejection>,
) -> Result<axum::Json<Deliveries>, ApiError> {
    let Query(DeliveriesQuery { state, before, limit }) = query.map_err(|_| ApiError::Query)?;
    let store = app.store()?;
    let before = before.map(|id| parse(&id)).transpose()?;
    let limit = limit.unwrap_or(100).clamp(1, 1000);
    let page = store.deliveries(caller.tenant(), state, before.as_ref(), limit).await;
    let page = page.map_err(ApiError::of_store)?;
    let next = page.last().filter(|_| page.len() == limit).map(|it| it.id.to_string());
    Ok(axum::Json(Deliveries { deliveries: page.iter().map(DeliveryBody::new).collect(), next }))
}

/// A delivery that will be tried again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Raised {
    id: String,
    /// `due`.
    state: &'static str,
}

/// Try a dead delivery again, with all its tries
#[utoipa::path(
    post, path = "/v1/webhooks/deliveries/{id}/redeliver", tag = "ours",
    params(("id" = String, Path, description = "As the list gives it")),
    responses(
        (status = 202, body = Raised),
        (status = 403, description = "A web page asked", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such delivery is dead", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "There is no store, or it failed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn redeliver(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<(axum::http::StatusCode, axum::Json<Raised>), ApiError> {
    check_page(&app, &headers)?;
    let store = app.store()?;
    let id = parse(&id)?;
    store.retry_delivery(caller.tenant(), &id).await.map_err(ApiError::of_store)?;
    app.jobs.signals.deliveries.notify_one();
    let raised = Raised { id: id.to_string(), state: "due" };
    Ok((axum::http::StatusCode::ACCEPTED, axum::Json(raised)))
}

fn parse(id: &str) -> Result<DeliveryId, ApiError> {
    id.parse().map_err(ApiError::of_store)
}
