//! One request's way through the guard: judged, sent on, and its reply judged.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use policy::Turn;
use reqwest::header::HeaderValue;
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::asked::{conversation, messages, said, turns};
use super::check::{Checked, Ruling};
use super::settings::{GuardMode, GuardSettings};
use super::stream;
use crate::api::{App, now};
use crate::door::Caller;
use crate::error::{ApiError, ServerError};
use crate::traceparent;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Silence after which the other server counts as gone.
const READ_TIMEOUT: Duration = Duration::from_secs(300);
/// Most bytes of a reply: no model writes as much.
pub(super) const MAX_REPLY: usize = 8 << 20;
/// Headers of the caller that go on to the other server.
const PASSED_ON: [&str; 2] = ["openai-organization", "openai-project"];

/// The guard before one chat model's server.
pub(crate) struct Guard {
    pub(super) settings: GuardSettings,
    http: Client,
    route: Url,
    key: Option<HeaderValue>,
}

impl Guard {
    /// A guard; `key` is the other server's.
    ///
    /// # Errors
    /// [`ServerError::Upstream`] for an address or a key that cannot be used.
    pub(crate) fn new(settings: GuardSettings, key: Option<&str>) -> Result<Guard, ServerError> {
        let fault = |problem: &'static str| ServerError::Upstream { problem };
        let mut route =
            Url::parse(settings.upstream.trim()).map_err(|_| fault("it cannot be read"))?;
        if !matches!(route.scheme(), "http" | "https") || !route.has_host() {
            return Err(fault("it is no http or https address"));
        }
        if !route.username().is_empty() || route.password().is_some() || route.query().is_some() {
            return Err(fault("it holds a name, a password or a query"));
        }
        let path = route.path().trim_end_matches('/');
        let root = path.strip_suffix("/chat/completions").unwrap_or(path);
        let root = root.strip_suffix("/v1").unwrap_or(root).to_owned();
        route.set_path(&format!("{root}/v1/chat/completions"));
        let key: Option<Result<HeaderValue, ServerError>> = key.map(|key| {
            let mut value = HeaderValue::from_str(&format!("Bearer {key}"))
                .map_err(|_| fault("its key holds characters that no header can"))?;
            value.set_sensitive(true);
            Ok(value)
        });
        // Another part of this program may have chosen the same provider before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            // What is sent is for the server that was named, and for no other.
            .redirect(reqwest::redirect::Policy::none());
        let is_local = matches!(route.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let client = if is_local { client.no_proxy() } else { client };
        let http = client.build().map_err(|_| fault("TLS cannot be set up"))?;
        Ok(Guard { settings, http, route, key: key.transpose()? })
    }
}

/// What a request says of its own moderation.
#[derive(Debug, Default, Deserialize)]
struct Asked {
    #[serde(default)]
    policy: AskedPolicy,
}

#[derive(Debug, Default, Deserialize)]
struct AskedPolicy {
    #[serde(default)]
    input: Option<AskedMode>,
    #[serde(default)]
    output: Option<AskedMode>,
}

#[derive(Debug, Deserialize)]
struct AskedMode {
    mode: GuardMode,
}

/// A request on its way.
pub(super) struct Passage {
    pub(super) app: Arc<App>,
    pub(super) caller: Caller,
    pub(super) guard: Arc<Guard>,
    pub(super) model: String,
    turns: Vec<Turn>,
    pub(super) output_mode: GuardMode,
    /// Whether the reply is to have OpenAI's `moderation` field, with this of the input.
    pub(super) moderation: Option<Value>,
}

impl Passage {
    /// The conversation with a reply, judged together.
    pub(super) async fn check_reply(&self, reply: &str) -> Checked {
        let mut turns = self.turns.clone();
        turns.push(Turn { role: "assistant".to_owned(), text: reply.to_owned(), tool: None });
        self.guard.check(&self.app, &self.caller, conversation(turns)).await
    }

    /// The fields beside the choices that tell what was found.
    pub(super) fn found(&self, output: Option<&Checked>, blocked: Option<&'static str>) -> Value {
        let mut fields = json!({});
        if let Some(input) = &self.moderation {
            let output = output.map_or_else(not_checked, |output| output.inline(&self.app));
            fields["moderation"] = json!({ "input": input, "output": output });
        }
        if let Some(blocked) = blocked {
            let policies = output.map(Checked::against);
            fields["safeguard"] = json!({ "blocked": blocked, "policies": policies });
        }
        fields
    }
}

fn not_checked() -> Value {
    json!({ "type": "error", "code": "not_checked", "message": "the input was blocked, so there is no output" })
}

/// Judges a request, sends it on, and lets through what may be.
///
/// # Errors
/// [`ApiError`] before anything was sent.
pub(crate) async fn forward(
    app: Arc<App>,
    guard: Arc<Guard>,
    caller: Caller,
    headers: &HeaderMap,
    mut body: Value,
) -> Result<Response, ApiError> {
    if body.get("n").is_some_and(|n| !n.is_null() && *n != 1) {
        return Err(ApiError::field("n", "a guarded reply is 1"));
    }
    let messages = messages(&body)?;
    let unreadable = || ApiError::field("moderation", "it cannot be read");
    let asked = body.as_object_mut().and_then(|body| body.remove("moderation"));
    let asked = asked.filter(|asked| !asked.is_null());
    let asked: Option<Asked> =
        asked.map(serde_json::from_value).transpose().map_err(|_| unreadable())?;
    let strictest = |mode: Option<&AskedMode>| {
        mode.map_or(guard.settings.mode, |asked| asked.mode.max(guard.settings.mode))
    };
    let policy = asked.as_ref().map(|asked| &asked.policy);
    let input_mode = strictest(policy.and_then(|policy| policy.input.as_ref()));
    let output_mode = strictest(policy.and_then(|policy| policy.output.as_ref()));
    let turns = turns(&body, &messages);
    let input = guard.check(&app, &caller, turns.clone().and_then(conversation)).await;
    if let Some(refusal) = input.refusal() {
        return Err(refusal.clone());
    }
    guard.note(&app, &caller, &input, input_mode).await?;
    let passage = Passage {
        moderation: asked.is_some().then(|| input.inline(&app)),
        model: body["model"].as_str().unwrap_or_default().to_owned(),
        // What could not be read was let through by the settings, and stands in for nothing.
        turns: turns.unwrap_or_default(),
        output_mode,
        guard,
        app,
        caller,
    };
    let is_stream = body["stream"] == true;
    if passage.guard.ruling(&input, input_mode) == Ruling::Block {
        return Ok(blocked_input(&passage, &input, is_stream).await);
    }
    let reply = passage.send(headers, &body).await?;
    if !reply.status().is_success() {
        return refused(reply).await;
    }
    if is_stream {
        let kind = reply.headers().get(header::CONTENT_TYPE);
        if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json")) {
            return Err(ApiError::Upstream { problem: "it does not reply in pieces" });
        }
        return Ok(stream::reply(passage, reply));
    }
    whole(passage, reply).await
}

impl Passage {
    async fn send(&self, headers: &HeaderMap, body: &Value) -> Result<reqwest::Response, ApiError> {
        let request = self.guard.http.post(self.guard.route.clone()).json(body);
        let mut request = request.headers(traceparent::passed_on(headers));
        let key = self.guard.key.as_ref().or_else(|| headers.get(header::AUTHORIZATION));
        if let Some(key) = key {
            request = request.header(header::AUTHORIZATION, key);
        }
        for name in PASSED_ON {
            if let Some(value) = headers.get(name) {
                request = request.header(name, value);
            }
        }
        request.send().await.map_err(|_| ApiError::Upstream { problem: "it cannot be reached" })
    }
}

/// A reply without text, ended by the filter.
fn empty_reply(passage: &Passage, found: &Value, usage: &Value) -> Value {
    let mut reply = json!({
        "id": format!("chatcmpl-{:x}", now()), "object": "chat.completion", "created": now(),
        "model": passage.model,
        "choices": [{
            "index": 0, "message": { "role": "assistant", "content": "", "refusal": null },
            "logprobs": null, "finish_reason": "content_filter",
        }],
        "usage": usage,
    });
    add(&mut reply, found);
    reply
}

/// Puts fields into an object.
pub(super) fn add(object: &mut Value, fields: &Value) {
    for (name, value) in fields.as_object().into_iter().flatten() {
        object[name] = value.clone();
    }
}

async fn blocked_input(passage: &Passage, input: &Checked, is_stream: bool) -> Response {
    let mut found = passage.found(None, Some("input"));
    found["safeguard"]["policies"] = json!(input.against());
    if is_stream {
        return stream::blocked(passage, &found).await;
    }
    let none = json!({ "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0 });
    axum::Json(empty_reply(passage, &found, &none)).into_response()
}

/// The other server's refusal, as it is.
async fn refused(reply: reqwest::Response) -> Result<Response, ApiError> {
    let status = StatusCode::from_u16(reply.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    let wait = reply.headers().get(header::RETRY_AFTER).cloned();
    let body = bytes_of(reply).await?;
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut response = (status, [kind], body).into_response();
    if let Some(wait) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, wait);
    }
    Ok(response)
}

async fn bytes_of(reply: reqwest::Response) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::new();
    let mut bytes = reply.bytes_stream();
    while let Some(piece) = bytes.next().await {
        let piece: Bytes =
            piece.map_err(|_| ApiError::Upstream { problem: "its reply broke off" })?;
        body.extend_from_slice(&piece);
        if body.len() > MAX_REPLY {
            return Err(ApiError::Upstream { problem: "its reply has no end" });
        }
    }
    Ok(body)
}

async fn whole(passage: Passage, reply: reqwest::Response) -> Result<Response, ApiError> {
    let unreadable = |_| ApiError::Upstream { problem: "its reply is no JSON" };
    let mut reply: Value = serde_json::from_slice(&bytes_of(reply).await?).map_err(unreadable)?;
    let choices = reply["choices"].as_array();
    let Some(choices) = choices else {
        return Err(ApiError::Upstream { problem: "its reply has no choices" });
    };
    let texts: Vec<String> = choices.iter().map(|choice| said(&choice["message"])).collect();
    let output = passage.check_reply(&texts.join("\n")).await;
    let mode = passage.output_mode;
    passage.guard.note(&passage.app, &passage.caller, &output, mode).await?;
    if passage.guard.ruling(&output, mode) == Ruling::Block {
        let found = passage.found(Some(&output), Some("output"));
        return Ok(axum::Json(empty_reply(&passage, &found, &reply["usage"])).into_response());
    }
    add(&mut reply, &passage.found(Some(&output), None));
    Ok(axum::Json(reply).into_response())
}
