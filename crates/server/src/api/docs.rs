//! `/openapi.json` and a page that shows it, without anything from elsewhere.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use utoipa::openapi::OpenApi;

use super::app::App;

const PAGE: &str = include_str!("docs.html");
/// No page may show this one inside itself; what the page itself may do stands in it.
const CSP: &str = "frame-ancestors 'none'";

pub(crate) fn routes(description: &OpenApi) -> Router<Arc<App>> {
    let json: Arc<str> = description.to_json().expect("a description is plain data").into();
    let openapi = async move || ([(header::CONTENT_TYPE, "application/json")], json.to_string());
    Router::new().route("/openapi.json", get(openapi)).route("/docs", get(page))
}

async fn page() -> impl IntoResponse {
    let kind = (header::CONTENT_TYPE, "text/html; charset=utf-8");
    ([kind, (header::CONTENT_SECURITY_POLICY, CSP)], PAGE)
}
