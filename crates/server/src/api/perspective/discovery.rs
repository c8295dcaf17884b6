//! `GET /$discovery/rest`: by this description Google's own clients find the route above, here instead of there.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use serde_json::{Value, json};

use super::super::app::App;

/// Where Google's clients find comments:analyze
///
/// Their `discoveryServiceUrl` is this address; the rest of a program stays as it is.
#[utoipa::path(
    get, path = "/$discovery/rest", tag = "others",
    params(("version" = Option<String>, Query, description = "`v1alpha1`; there is no other")),
    responses((status = 200, body = Object))
)]
pub(crate) async fn describe(State(app): State<Arc<App>>, headers: HeaderMap) -> axum::Json<Value> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.map_or_else(|| app.settings.listen.to_string(), str::to_owned);
    let scheme = if app.settings.tls.is_some() { "https" } else { "http" };
    axum::Json(document(&format!("{scheme}://{host}/")))
}

fn document(root: &str) -> Value {
    let analyze = json!({
        "id": "commentanalyzer.comments.analyze",
        "path": "v1alpha1/comments:analyze",
        "flatPath": "v1alpha1/comments:analyze",
        "httpMethod": "POST",
        "parameters": {},
        "parameterOrder": [],
        "request": { "$ref": "AnalyzeCommentRequest" },
        "response": { "$ref": "AnalyzeCommentResponse" },
    });
    let key =
        json!({ "type": "string", "location": "query", "description": "A key of the service" });
    json!({
        "kind": "discovery#restDescription",
        "discoveryVersion": "v1",
        "id": "commentanalyzer:v1alpha1",
        "name": "commentanalyzer",
        "version": "v1alpha1",
        "title": "comments:analyze, answered by safeguard",
        "protocol": "rest",
        "rootUrl": root,
        "servicePath": "",
        "baseUrl": root,
        "batchPath": "batch",
        "parameters": { "key": key },
        "schemas": {
            "AnalyzeCommentRequest": { "id": "AnalyzeCommentRequest", "type": "object" },
            "AnalyzeCommentResponse": { "id": "AnalyzeCommentResponse", "type": "object" },
        },
        "resources": { "comments": { "methods": { "analyze": analyze } } },
    })
}
