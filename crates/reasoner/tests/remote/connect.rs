//! What is said when a server cannot be used at all.

use std::net::TcpListener;

use policy::{Cause, Content, Judge, JudgeSettings, Outcome, Silent};
use reasoner::remote::{RemoteError, RemoteJudge, RemoteSettings, Server};
use serde_json::json;

use crate::server::{ChatServer, Reply};
use crate::{KEY, policy, settings};

fn connect(url: &str, settings: &RemoteSettings) -> Result<RemoteJudge, RemoteError> {
    let result = RemoteJudge::connect(url, settings);
    let said = format!("{result:?}");
    assert!(!said.contains(KEY), "the key is shown: {said}");
    result
}

/// A server whose list of models is this.
fn with_models(status: u16, body: serde_json::Value) -> ChatServer {
    ChatServer::start(Reply { status, body, ..Reply::default() }, vec![Reply::default()])
}

#[test]
fn a_server_that_cannot_be_used_is_named_with_the_reason() {
    let two = json!({ "data": [{ "id": "a" }, { "id": "b" }] });
    for (status, body, model, expected) in [
        (401, json!({ "error": "Invalid key" }), None, "refuses the key, or wants one (401)"),
        (403, json!({}), None, "(403)"),
        (404, json!({ "detail": "Not Found" }), None, "answered 404"),
        (302, json!({}), None, "answered 302"),
        (
            503,
            json!({ "error": { "type": "unavailable_error" } }),
            None,
            "answered 503 (unavailable_error)",
        ),
        (200, json!("<html>"), None, "is no chat completion"),
        (200, json!({ "data": null }), None, "lists no models"),
        (200, two.clone(), None, "has many models (a, b)"),
        (200, two, Some("c"), "has no model \"c\"; it has a, b"),
    ] {
        let server = with_models(status, body);
        let settings = RemoteSettings { model: model.map(str::to_owned), ..settings() };
        let error = connect(&server.url, &settings).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_gateway_that_lists_nothing_may_have_the_model() {
    let server = with_models(404, json!({}));
    let settings = RemoteSettings { model: Some("m".to_owned()), ..settings() };
    let judge = connect(&format!("{}/v1/chat/completions", server.url), &settings).unwrap();
    assert_eq!((judge.model(), judge.server()), ("m", Server::Generic));
}

#[test]
fn a_key_that_no_header_can_hold_is_refused() {
    let settings = RemoteSettings { api_key: Some(format!("{KEY}\n")), ..settings() };
    assert!(matches!(connect("http://h", &settings), Err(RemoteError::Key)));
}

#[test]
fn nobody_listening_is_told_at_once_and_later_is_undetermined() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = connect(&format!("http://{free}"), &settings()).unwrap_err();
    assert!(error.to_string().contains(&format!("{free} cannot be reached")), "{error}");
    let server = with_models(200, json!({ "data": [{ "id": "m" }] }));
    let judge = connect(&server.url, &settings()).unwrap();
    drop(server);
    let item = Content::text("hello");
    let verdict = judge.judge(&policy(), &item, &JudgeSettings::default(), &mut Silent);
    assert_eq!(verdict.outcome, Outcome::Undetermined(Cause::BackendError), "{verdict:?}");
}

#[test]
fn what_cannot_be_asked_is_undetermined() {
    let server = with_models(200, json!({ "data": [{ "id": "m" }] }));
    let judge = connect(&server.url, &settings()).unwrap();
    let usual = JudgeSettings::default;
    let hasty = JudgeSettings { timeout: Some(std::time::Duration::ZERO), ..usual() };
    for (text, settings, cause) in [
        (" ", usual(), Cause::UnsupportedInput),
        ("x", JudgeSettings { temperature: f32::NAN, ..usual() }, Cause::BackendError),
        ("x", JudgeSettings { top_p: 0.0, ..usual() }, Cause::BackendError),
        ("x", hasty, Cause::Timeout),
    ] {
        let verdict = judge.judge(&policy(), &Content::text(text), &settings, &mut Silent);
        assert_eq!(verdict.outcome, Outcome::Undetermined(cause), "{:?}", verdict.detail);
    }
    assert!(server.seen().is_empty());
}
