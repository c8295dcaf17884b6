//! What is noted of every request: route, status, time. Never its body, headers or query.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

use super::app::App;
use crate::traceparent;

/// The status noted where the client went before its answer came, as nginx writes it.
const GONE: u16 = 499;

pub(crate) async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("unmatched", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!(
        "request",
        otel.kind = "server",
        http.route = route,
        http.response.status_code = tracing::field::Empty,
    );
    traceparent::continues(&span, request.headers());
    let mut note = Note { app: &app, route, status: GONE, start: Instant::now() };
    let response = next.run(request).instrument(span.clone()).await;
    note.status = response.status().as_u16();
    span.record("http.response.status_code", note.status);
    response
}

/// Noted when it is dropped: an answer that nobody waited for is dropped too.
struct Note<'a> {
    app: &'a App,
    route: String,
    status: u16,
    start: Instant,
}

impl Drop for Note<'_> {
    fn drop(&mut self) {
        let took = self.start.elapsed();
        self.app.metrics.answered(&self.route, self.status, took);
        let ms = took.as_millis() as u64;
        tracing::info!(route = self.route, status = self.status, ms, "request");
    }
}
