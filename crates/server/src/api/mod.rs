//! The routes, one file each, and what stands around all of them.

mod app;
mod batches;
pub(crate) mod chat;
pub(crate) mod classify;
mod decisions;
mod deliveries;
mod docs;
mod files;
mod health;
mod jobs;
mod later;
pub(crate) mod litellm;
pub(crate) mod moderations;
mod observe;
mod page;
pub(crate) mod perspective;
mod policies;
pub(crate) mod predict;
pub(crate) mod responses;
mod reviews;
mod security;
mod shape;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::{Extension, Router, middleware};
use tower_http::cors::CorsLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use app::{App, Pair};
pub(crate) use chat::{ChatRequest, Completion, Events, Gone, Message, Question, chunk, now};
pub(crate) use classify::{
    Action, ClassifyRequest, ClassifyResponse, PairResult, PolicyBody, check_sync,
    items_and_policies, settings,
};
pub(crate) use later::MAX_FAULTS;
pub(crate) use moderations::{
    ModerationRequest, ModerationResponse, STOCK, contents_and_policies, stock_result,
};
pub(crate) use policies::FindingBody;
pub(crate) use shape::Shape;

use crate::door::{self, Keeper};
use crate::error::{ApiError, ServerError};
use crate::settings::{Cors, duration};
use crate::webhooks::Message as WebhookMessage;
use crate::wire::BodyLimit;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "safeguard",
        description = "Bring-your-own-policy safety classification: a policy in Markdown and an item go in, a verdict with the rule it rests on comes out."
    ),
    components(schemas(WebhookMessage)),
    tags(
        (name = "ours", description = "Verdicts in full"),
        (name = "policies", description = "Versions of policies: stored, activated, tried beside the live one"),
        (name = "reviews", description = "What people say of decisions"),
        (name = "OpenAI", description = "In the shape of OpenAI's routes: change the base URL and nothing else"),
        (name = "others", description = "In the shapes of LiteLLM, text-embeddings-inference and Perspective"),
        (name = "service", description = "Whether it runs, and how")
    )
)]
struct Description;

/// All routes, ready to serve.
///
/// # Errors
/// [`ServerError::Origin`] for an origin that no header can hold.
pub(crate) fn router(app: Arc<App>) -> Result<Router, ServerError> {
    let limits = app.settings.limits.clone();
    let cors = cors(&app.settings.cors)?;
    let (router, mut description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(classify::classify))
        .routes(routes!(moderations::moderations))
        .routes(routes!(chat::completions))
        .routes(routes!(chat::models))
        .routes(routes!(responses::responses))
        .routes(routes!(litellm::guardrail))
        .routes(routes!(predict::predict))
        .routes(routes!(perspective::analyze))
        .routes(routes!(perspective::describe))
        .routes(routes!(decisions::decisions))
        .routes(routes!(decisions::decision))
        .routes(routes!(jobs::jobs))
        .routes(routes!(jobs::job))
        .routes(routes!(jobs::cancel))
        .routes(routes!(deliveries::deliveries))
        .routes(routes!(deliveries::redeliver))
        .merge(files::routes(app.settings.jobs.file_bytes))
        .routes(routes!(batches::create, batches::list))
        .routes(routes!(batches::retrieve))
        .routes(routes!(batches::cancel))
        .merge(policies::routes())
        .merge(reviews::routes())
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .split_for_parts();
    security::describe(&mut description);
    let keeper = Keeper { app: Arc::clone(&app), shapes: Arc::new(shape::of_paths(&description)) };
    let router = router
        .merge(docs::routes(&description))
        .fallback(async || ApiError::NoRoute)
        .method_not_allowed_fallback(async || ApiError::Method)
        .layer(middleware::from_fn_with_state(keeper, door::enter))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), observe::observe))
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .layer(Extension(BodyLimit(limits.body_bytes)))
        .layer(RequestBodyTimeoutLayer::new(duration(limits.read_s)))
        .with_state(app);
    Ok(match cors {
        Some(cors) => router.layer(cors),
        None => router,
    })
}

fn cors(cors: &Cors) -> Result<Option<CorsLayer>, ServerError> {
    if cors.origins.is_empty() {
        return Ok(None);
    }
    let read = |origin: &String| {
        HeaderValue::from_str(origin).map_err(|_| ServerError::Origin { origin: origin.clone() })
    };
    let origins = cors.origins.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let headers: [HeaderName; 2] = [header::CONTENT_TYPE, header::AUTHORIZATION];
    let layer = CorsLayer::new().allow_origin(origins).allow_headers(headers);
    Ok(Some(layer.allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])))
}
