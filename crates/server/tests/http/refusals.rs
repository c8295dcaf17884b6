//! What is refused, with which status and word; in the shape of its route.

use policy::JudgeSettings;
use serde_json::{Value, json};
use server::Setup;

use crate::running::{Running, ads, builtin, judging, settings, setup, start};

#[test]
fn refusals_have_their_status_and_word() {
    let service = start();
    let chat = |model: &str, policy: &str| json!({ "model": model, "messages": [{ "role": "system", "content": policy }, { "role": "user", "content": "x" }] });
    for (route, body, status, code) in [
        ("/v1/classify", json!({}), 400, "invalid_json"),
        ("/v1/classify", json!({ "items": [], "policies": ["ads"] }), 422, "invalid_field"),
        ("/v1/classify", json!({ "items": ["x"], "policies": [] }), 422, "invalid_field"),
        ("/v1/classify", json!({ "items": ["x"], "item": "y" }), 400, "invalid_json"),
        ("/v1/classify", json!({ "items": ["x"], "deadline_ms": 0 }), 422, "invalid_field"),
        (
            "/v1/classify",
            json!({ "items": ["x"], "direct": true, "max_analysis_tokens": 9 }),
            422,
            "invalid_field",
        ),
        ("/v1/classify", json!({ "items": vec!["x"; 300] }), 422, "too_many_pairs"),
        ("/v1/moderations", json!({ "input": [] }), 422, "invalid_field"),
        ("/v1/moderations", json!({ "input": "" }), 422, "invalid_field"),
        ("/v1/moderations", json!({ "input": 7 }), 400, "invalid_json"),
        (
            "/v1/moderations",
            json!({ "input": [{ "type": "image_url", "image_url": { "url": "x" } }] }),
            422,
            "invalid_field",
        ),
        ("/v1/chat/completions", chat("gpt-4o", "no ads"), 404, "model_not_found"),
        ("/v1/chat/completions", chat("safeguard", ""), 422, "invalid_field"),
        ("/v1/chat/completions", chat("safeguard/none", ""), 404, "unknown_policy"),
        ("/v1/none", json!({}), 404, "no_route"),
    ] {
        let response = service.post(route, &body);
        assert_eq!(response.status(), status, "{route} {body}");
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        let error: Value = response.json().unwrap();
        if matches!(route, "/v1/moderations" | "/v1/chat/completions") {
            assert_eq!(error["error"]["code"], code, "{route} {body}");
        } else {
            assert_eq!(error["type"], format!("urn:safeguard:{code}"), "{route} {body}");
            assert_eq!((&*kind, &error["status"]), ("application/problem+json", &json!(status)));
        }
    }
}

#[test]
fn direct_scores_are_refused_where_they_cannot_be_had_with_the_way_out() {
    let refused = |service: &Running, body: Value| {
        let response = service.post("/v1/classify", &body);
        assert_eq!(response.status(), 422, "{body}");
        response.json::<Value>().unwrap()["detail"].as_str().unwrap().to_owned()
    };
    let setup = |judging| setup(settings(), builtin(), ads(), judging);
    let remote = Running::start_on(Setup { scores_directly: false, ..setup(judging()) });
    let detail = refused(&remote, json!({ "items": ["x"], "direct": true }));
    assert!(detail.contains("chat server") && detail.contains("leave it out"), "{detail}");
    remote.ask("/v1/classify", &json!({ "items": ["x"], "direct": false }));

    let direct = Running::start_on(setup(JudgeSettings { direct: true, ..judging() }));
    let detail = refused(&direct, json!({ "items": ["x"], "max_analysis_tokens": 9 }));
    assert!(detail.contains(r#""direct": false"#), "{detail}");
    let body = json!({ "items": ["x"], "max_analysis_tokens": 9, "direct": false });
    direct.ask("/v1/classify", &body);
}

#[test]
fn bodies_are_json_by_name_and_bounded() {
    let mut settings = settings();
    settings.limits.body_bytes = 1000;
    let service = Running::start(settings, builtin(), ads());
    let url = format!("{}/v1/classify", service.url);
    let plain = service.http.post(&url).body(r#"{"items":["x"]}"#).send().unwrap();
    assert_eq!(plain.status(), 415, "what a web page can send without asking is not taken");
    assert_eq!(service.post("/v1/classify", &json!({ "items": ["x".repeat(2000)] })).status(), 413);
    assert_eq!(service.http.get(&url).send().unwrap().status(), 405);
    let preflight = service
        .http
        .request(reqwest::Method::OPTIONS, &url)
        .header("origin", "https://example.org");
    let answer = preflight.header("access-control-request-method", "POST").send().unwrap();
    assert!(answer.headers().get("access-control-allow-origin").is_none());
}
