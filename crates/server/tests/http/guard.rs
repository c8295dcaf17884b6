//! The guard before another chat model, which is a server of our own here.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use policy::{Cause, Content, Judge, JudgeSettings, Observer, Outcome, Policy, Verdict};
use serde_json::{Value, json};
use server::{GuardMode, GuardSettings, OutputMode, WithoutVerdict};

use crate::running::{Running, ads, settings};

/// What the other model says, and what it was asked.
pub(crate) struct Model {
    says: String,
    /// Bytes that its stream is cut into.
    n_bytes: usize,
    status: StatusCode,
    /// With it, what a stream is, instead of what the model says.
    raw: Option<(&'static str, String)>,
    asked: Mutex<Vec<(Value, Option<String>)>>,
    /// `traceparent` and `tracestate` of the last request.
    traced: Mutex<[Option<String>; 2]>,
}

impl Model {
    pub(crate) fn saying(says: &str) -> Arc<Model> {
        Model::new(says, 7, StatusCode::OK)
    }

    fn new(says: &str, n_bytes: usize, status: StatusCode) -> Arc<Model> {
        Arc::new(Model {
            says: says.to_owned(),
            n_bytes,
            status,
            raw: None,
            asked: Mutex::default(),
            traced: Mutex::default(),
        })
    }

    /// Streams these bytes.
    fn streaming(kind: &'static str, text: &str) -> Arc<Model> {
        let (says, raw) = (String::new(), Some((kind, text.to_owned())));
        let status = StatusCode::OK;
        let (asked, traced) = (Mutex::default(), Mutex::default());
        Arc::new(Model { says, n_bytes: 9, status, raw, asked, traced })
    }

    fn n_asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Serves on a port of its own until the test ends.
    fn serve(self: &Arc<Model>) -> String {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = runtime.block_on(tokio::net::TcpListener::bind(any)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/v1/chat/completions", post(complete));
        let router = router.with_state(Arc::clone(self));
        std::thread::spawn(move || runtime.block_on(async { axum::serve(listener, router).await }));
        url
    }
}

async fn complete(
    State(model): State<Arc<Model>>,
    headers: HeaderMap,
    axum::Json(body): axum::Json<Value>,
) -> Response {
    let key = headers.get(header::AUTHORIZATION).map(|key| key.to_str().unwrap().to_owned());
    let is_stream = body["stream"] == true;
    let text = |name: &str| headers.get(name).map(|it| it.to_str().unwrap().to_owned());
    *model.traced.lock().unwrap() = ["traceparent", "tracestate"].map(text);
    model.asked.lock().unwrap().push((body, key));
    if model.status != StatusCode::OK {
        return (model.status, axum::Json(json!({ "error": { "message": "no" } }))).into_response();
    }
    if !is_stream {
        let message = json!({ "role": "assistant", "content": model.says });
        let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
        return axum::Json(json!({ "id": "c", "object": "chat.completion", "created": 7, "model": "m", "choices": [choice], "usage": { "total_tokens": 9 } })).into_response();
    }
    if let Some((kind, text)) = &model.raw {
        return in_pieces(kind, text.clone(), model.n_bytes);
    }
    let mut text = String::new();
    let mut event = |delta: Value, finish: Value| {
        let choice = json!({ "index": 0, "delta": delta, "logprobs": { "content": [{ "token": "BAD" }] }, "finish_reason": finish });
        text += &format!(
            "data: {}\n\n",
            json!({ "id": "c", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": [choice] })
        );
    };
    event(json!({ "role": "assistant", "content": "" }), Value::Null);
    for letters in model.says.chars().collect::<Vec<_>>().chunks(3) {
        event(json!({ "content": letters.iter().collect::<String>() }), Value::Null);
    }
    event(json!({}), "stop".into());
    text += "data: [DONE]\n\n";
    in_pieces("text/event-stream", text, model.n_bytes)
}

fn in_pieces(kind: &'static str, text: String, n_bytes: usize) -> Response {
    let pieces: Vec<Result<Bytes, std::io::Error>> =
        text.into_bytes().chunks(n_bytes).map(|it| Ok(Bytes::copy_from_slice(it))).collect();
    let stream = futures_util::stream::iter(pieces);
    ([(header::CONTENT_TYPE, kind)], Body::from_stream(stream)).into_response()
}

/// Finds the word `BAD`, and cannot judge `ODD`.
pub(crate) struct Words;

impl Judge for Words {
    fn identity(&self) -> String {
        "words".to_owned()
    }

    fn judge(
        &self,
        policy: &Policy,
        content: &Content,
        _: &JudgeSettings,
        _: &mut dyn Observer,
    ) -> Verdict {
        let text = content.texts().concat();
        let outcome = match () {
            () if text.contains("BAD") => Outcome::Violation,
            () if text.contains("ODD") => Outcome::Undetermined(Cause::Unparseable),
            () => Outcome::Clear,
        };
        let none = Verdict::undetermined(Cause::Timeout, "", policy.reference(), "words");
        Verdict { outcome, score: outcome.is_violation().map(|it| it.into()), ..none }
    }
}

pub(crate) fn before(model: &Arc<Model>) -> GuardSettings {
    GuardSettings {
        upstream: model.serve(),
        policies: Vec::new(),
        mode: GuardMode::Block,
        output: OutputMode::Window,
        window_chars: 12,
        on_undetermined: WithoutVerdict::Block,
        check_s: 20.0,
    }
}

fn guarded(model: &Arc<Model>, change: impl FnOnce(&mut GuardSettings)) -> Running {
    let mut guard = before(model);
    change(&mut guard);
    let mut settings = settings();
    settings.guard = Some(guard);
    Running::start(settings, Arc::new(Words), ads())
}

pub(crate) fn chat(says: &str, stream: bool) -> Value {
    json!({ "model": "gpt-x", "stream": stream, "messages": [{ "role": "user", "content": says }], "moderation": { "model": "any" } })
}

const ROUTE: &str = "/v1/chat/completions";

/// The text that left, and the last chunk.
fn streamed(service: &Running, body: &Value) -> (String, Value) {
    let raw = service.post(ROUTE, body).text().unwrap();
    assert!(raw.trim_end().ends_with("data: [DONE]"), "{raw}");
    let lines = raw.lines().filter_map(|line| line.strip_prefix("data: "));
    let chunks: Vec<Value> =
        lines.filter(|it| *it != "[DONE]").map(|it| serde_json::from_str(it).unwrap()).collect();
    assert!(!raw.contains("\"token\""), "log-probabilities spell what is held back");
    let text =
        chunks.iter().filter_map(|it| it["choices"][0]["delta"]["content"].as_str()).collect();
    (text, chunks.last().unwrap().clone())
}

#[test]
fn what_is_blocked_on_its_way_in_is_not_sent_on() {
    let model = Model::saying("fine");
    let service = guarded(&model, |_| {});
    let whole = service.ask(ROUTE, &chat("this is BAD", false));
    assert_eq!(whole["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(whole["safeguard"], json!({ "blocked": "input", "policies": ["ads"] }));
    assert_eq!(whole["moderation"]["input"]["results"][0]["flagged"], true);
    let (text, last) = streamed(&service, &chat("this is BAD", true));
    assert_eq!((&*text, &last["choices"][0]["finish_reason"]), ("", &json!("content_filter")));
    assert_eq!(model.n_asked(), 0);
}

#[test]
fn what_is_clear_goes_through_as_it_is() {
    let model = Model::saying("fine");
    let service = guarded(&model, |_| {});
    let request = service.http.post(format!("{}{ROUTE}", service.url));
    let reply: Value =
        request.bearer_auth("theirs").json(&chat("hi", false)).send().unwrap().json().unwrap();
    assert_eq!(reply["choices"][0]["message"]["content"], "fine");
    assert_eq!((&reply["id"], &reply["usage"]["total_tokens"]), (&json!("c"), &json!(9)));
    assert_eq!(reply["moderation"]["output"]["results"][0]["categories"]["ads"], false);
    let (body, key) = model.asked.lock().unwrap()[0].clone();
    assert_eq!(key.as_deref(), Some("Bearer theirs"));
    assert!(body.get("moderation").is_none() && body["model"] == "gpt-x", "{body}");
    let without = service.ask(
        ROUTE,
        &json!({ "model": "gpt-x", "messages": [{ "role": "user", "content": "hi" }] }),
    );
    assert!(without.get("moderation").is_none(), "it is told where it is asked for");
}

#[test]
fn a_bad_reply_ends_with_the_filter() {
    let model = Model::saying("well, BAD it is");
    let reply = guarded(&model, |_| {}).ask(ROUTE, &chat("hi", false));
    assert_eq!(reply["choices"][0]["message"]["content"], "");
    assert_eq!(reply["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(reply["safeguard"]["blocked"], "output");
    let told =
        guarded(&model, |guard| guard.mode = GuardMode::Score).ask(ROUTE, &chat("hi", false));
    assert_eq!(told["choices"][0]["message"]["content"], "well, BAD it is");
    assert_eq!(told["moderation"]["output"]["results"][0]["flagged"], true);
    let mut strict = chat("hi", false);
    strict["moderation"]["policy"] = json!({ "output": { "mode": "block" } });
    let stricter = guarded(&model, |guard| guard.mode = GuardMode::Score).ask(ROUTE, &strict);
    assert_eq!(stricter["choices"][0]["finish_reason"], "content_filter");
    strict["moderation"]["policy"] = json!({ "output": { "mode": "score" } });
    let laxer = guarded(&model, |_| {}).ask(ROUTE, &strict);
    assert_eq!(laxer["choices"][0]["finish_reason"], "content_filter", "no request is laxer");
}

#[test]
fn streams_leak_no_more_than_their_mode_says() {
    let before = "Zwölf Boxkämpfer jagen 🥊 Viktor quer über den Sylter Deich, ";
    let text = format!("{before}BAD und danach noch sehr viel mehr Text, der nie ankommt.");
    let n_before = before.chars().count();
    for (mode, n_bytes) in [
        (OutputMode::Hold, 1),
        (OutputMode::Window, 1),
        (OutputMode::Window, 5),
        (OutputMode::Window, 4096),
        (OutputMode::Live, 1),
        (OutputMode::Live, 4096),
    ] {
        let bad = guarded(&Model::new(&text, n_bytes, StatusCode::OK), |guard| guard.output = mode);
        let (left, last) = streamed(&bad, &chat("hi", true));
        let n_left = left.chars().count();
        assert!(text.starts_with(&left));
        assert_eq!(last["choices"][0]["finish_reason"], "content_filter");
        assert_eq!(last["safeguard"]["sent_chars"], n_left);
        assert_eq!(last["moderation"]["output"]["results"][0]["flagged"], true);
        // `BAD` is seen with its third letter.
        let bound = match mode {
            OutputMode::Hold => 0,
            OutputMode::Window => n_before + 2 - 12,
            OutputMode::Live => n_before + 2 + 12,
        };
        assert!(n_left <= bound, "{mode:?}: {n_left} left, {bound} allowed");
        assert_eq!(last["safeguard"]["retract"], mode == OutputMode::Live && n_left > 0);

        let good =
            guarded(&Model::new(before, n_bytes, StatusCode::OK), |guard| guard.output = mode);
        let (left, last) = streamed(&good, &chat("hi", true));
        assert_eq!((&*left, &last["choices"][0]["finish_reason"]), (before, &json!("stop")));
        assert_eq!(last["moderation"]["output"]["results"][0]["flagged"], false);
    }
}

#[test]
fn without_a_verdict_nothing_goes_on_unless_the_settings_say_so() {
    let model = Model::saying("an ODD reply");
    let strict = guarded(&model, |_| {});
    let reply = strict.ask(ROUTE, &chat("hi", false));
    assert_eq!(reply["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(reply["moderation"]["output"]["type"], "error");
    assert_eq!(streamed(&strict, &chat("hi", true)).0, "");
    let image = json!([{ "type": "image_url", "image_url": { "url": "data:," } }]);
    let unseen = json!({ "model": "gpt-x", "messages": [{ "role": "user", "content": image }] });
    assert_eq!(strict.ask(ROUTE, &unseen)["safeguard"]["blocked"], "input");
    let lax = guarded(&model, |guard| guard.on_undetermined = WithoutVerdict::Allow);
    assert_eq!(streamed(&lax, &chat("hi", true)).0, "an ODD reply");
    let metrics = lax.read("/metrics");
    assert!(
        metrics.contains(r#"policy="ads",disposition="bypassed",cause="unparseable"} 1"#),
        "{metrics}"
    );
}

#[test]
fn what_passes_without_a_policy_is_counted_too() {
    let service = guarded(&Model::saying("fine"), |guard| {
        guard.policies = vec!["none".to_owned()];
        guard.on_undetermined = WithoutVerdict::Allow;
    });
    let reply = service.ask(ROUTE, &chat("hi", false));
    assert_eq!(reply["choices"][0]["message"]["content"], "fine");
    let counted = r#"policy="unknown",disposition="bypassed",cause="backend_error"} 2"#;
    let metrics = service.read("/metrics");
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn the_other_servers_failures_are_told() {
    let refusing = Model::new("", 1, StatusCode::UNAUTHORIZED);
    let service = guarded(&refusing, |_| {});
    let response = service.post(ROUTE, &chat("hi", true));
    assert_eq!(response.status(), 401);
    assert_eq!(response.json::<Value>().unwrap()["error"]["message"], "no");
    let gone = guarded(&refusing, |guard| guard.upstream = "http://127.0.0.1:9".to_owned());
    let response = gone.post(ROUTE, &chat("hi", false));
    assert_eq!(response.status(), 502);
    assert_eq!(response.json::<Value>().unwrap()["error"]["code"], "upstream");
    let judge =
        json!({ "model": "safeguard/ads", "messages": [{ "role": "user", "content": "fine" }] });
    assert_eq!(gone.post(ROUTE, &judge).status(), 200, "the judge itself is asked as before");
}

/// A chunk of a stream.
fn event(delta: &Value, finish: &Value) -> String {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
    format!("data: {}\n\n", json!({ "id": "c", "model": "m", "choices": [choice] }))
}

#[test]
fn a_stream_that_breaks_off_does_not_look_whole() {
    let said = event(&json!({ "content": "fine" }), &Value::Null);
    let end = event(&json!({}), &"length".into());
    for broken in [
        said.clone(),
        format!("{said}data: [DONE]\n\n"),
        format!("{said}data: {{\"error\":{{\"message\":\"no\"}}}}\n\n{end}data: [DONE]\n\n"),
        format!("{said}data: {{\"choi\n\n{end}data: [DONE]\n\n"),
        format!("{said}data: 7\n\n{end}data: [DONE]\n\n"),
        json!({ "choices": [{ "message": { "content": "fine" } }] }).to_string(),
    ] {
        let service = guarded(&Model::streaming("text/event-stream", &broken), |_| {});
        let raw = service.post(ROUTE, &chat("hi", true)).text().unwrap();
        let last = raw.trim_end().lines().last().unwrap().strip_prefix("data: ").unwrap();
        let last: Value = serde_json::from_str(last).unwrap();
        assert_eq!(last["error"]["code"], "upstream", "{broken}: {raw}");
        assert!(!raw.contains("\"stop\""), "{raw}");
    }
    let whole = guarded(&Model::streaming("text/event-stream", &(said + &end)), |_| {});
    let (text, last) = streamed(&whole, &chat("hi", true));
    assert_eq!((&*text, &last["choices"][0]["finish_reason"]), ("fine", &json!("length")));
    let plain = guarded(&Model::streaming("application/json", "{}"), |_| {});
    assert_eq!(plain.post(ROUTE, &chat("hi", true)).status(), 502);
}

#[test]
fn a_word_in_two_fragments_of_a_call_is_seen() {
    let call = |function: Value| {
        event(&json!({ "tool_calls": [{ "index": 0, "function": function }] }), &Value::Null)
    };
    let reply = |second: &str| {
        let first = call(json!({ "name": "look", "arguments": "{\"q\":\"B" }));
        let rest = call(json!({ "arguments": second }));
        format!("{first}{rest}{}data: [DONE]\n\n", event(&json!({}), &"tool_calls".into()))
    };
    let escaped = "\\u0041\\u0044\"}";
    for (second, finish) in
        [("AD\"}", "content_filter"), (escaped, "content_filter"), ("ED\"}", "tool_calls")]
    {
        let service = guarded(&Model::streaming("text/event-stream", &reply(second)), |_| {});
        let (_, last) = streamed(&service, &chat("hi", true));
        assert_eq!(last["choices"][0]["finish_reason"], finish);
    }
}

#[test]
fn whatever_goes_on_to_the_model_is_judged() {
    let model = Model::saying("fine");
    let service = guarded(&model, |_| {});
    let part = json!([{ "type": "text", "text": "x", "title": "BAD" }]);
    for (field, value) in [
        ("name", json!("BAD")),
        ("function_call", json!({ "name": "f", "arguments": "BAD" })),
        (
            "tool_calls",
            json!([{ "function": { "name": "f", "arguments": "{\"q\":\"B\\u0041D\"}" } }]),
        ),
        ("reasoning", json!("BAD")),
        ("reasoning_content", json!("BAD")),
        ("refusal", json!("BAD")),
        ("content", part),
    ] {
        let mut body = chat("hi", false);
        body["messages"][0][field] = value;
        assert_eq!(service.ask(ROUTE, &body)["safeguard"]["blocked"], "input", "{field}");
    }
    let function = json!({ "name": "f", "description": "BAD" });
    for (field, value) in [
        ("tools", json!([{ "type": "function", "function": function }])),
        ("functions", json!([function])),
        ("prediction", json!({ "type": "content", "content": "BAD" })),
        ("response_format", json!({ "type": "json_schema", "json_schema": { "name": "BAD" } })),
        ("chat_template", json!("BAD")),
    ] {
        let mut body = chat("hi", false);
        body[field] = value;
        assert_eq!(service.ask(ROUTE, &body)["safeguard"]["blocked"], "input", "{field}");
    }
    assert_eq!(model.n_asked(), 0);
    let mut plain = chat("hi", false);
    plain["moderation"] = Value::Null;
    plain["response_format"] = json!({ "type": "text" });
    let reply = service.ask(ROUTE, &plain);
    assert_eq!(reply["choices"][0]["message"]["content"], "fine");
    assert!(reply.get("moderation").is_none());
}

#[test]
fn a_key_of_ours_is_for_us_and_no_other_server() {
    let (model, shared) = (Model::saying("fine"), crate::keyed::Shared::new());
    let key = shared.secret("default", &["judge"]);
    let guard = Some(before(&model));
    let settings = server::ServerSettings { guard, ..shared.settings() };
    let service = Running::start(settings, Arc::new(Words), ads());
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hello" }] });
    let send = |headers: &[(&str, &str)]| {
        let request = service.http.post(format!("{}/v1/chat/completions", service.url));
        let with = |request: reqwest::blocking::RequestBuilder, it: &(&str, &str)| {
            request.header(it.0, it.1)
        };
        headers.iter().fold(request, with).json(&body).send().unwrap().status().as_u16()
    };
    assert_eq!(send(&[("authorization", "Bearer sk-theirs")]), 401);
    assert_eq!(model.n_asked(), 0);
    assert_eq!(send(&[("authorization", &format!("Bearer {key}"))]), 200);
    assert_eq!(send(&[("authorization", "Bearer sk-theirs"), ("x-safeguard-key", &key)]), 200);
    let asked = model.asked.lock().unwrap();
    let keys: Vec<Option<&str>> = asked.iter().map(|(_, key)| key.as_deref()).collect();
    assert_eq!(keys, [None, Some("Bearer sk-theirs")]);
}

#[test]
fn a_callers_trace_goes_on_to_the_other_server() {
    let model = Model::saying("fine");
    let service = guarded(&model, |_| {});
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let broken = "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01";
    for (parent, passes) in [(parent, true), (broken, false)] {
        for is_stream in [false, true] {
            let request = service.http.post(format!("{}{ROUTE}", service.url));
            let request = request.header("traceparent", parent).header("tracestate", "shop=7");
            let reply = request.json(&chat("hi", is_stream)).send().unwrap();
            assert_eq!(reply.status(), 200);
            drop(reply.text());
            let expected = [parent, "shop=7"].map(|it| passes.then(|| it.to_owned()));
            assert_eq!(*model.traced.lock().unwrap(), expected);
        }
    }
}
