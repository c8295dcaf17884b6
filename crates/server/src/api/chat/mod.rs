//! `POST /v1/chat/completions` and `GET /v1/models`: the judge as a chat model.
//!
//! The system or developer message is the policy, the rest is the item, the reply is the verdict's JSON.
//! `request.rs` and `message.rs` read, `reply.rs` writes, `stream.rs` writes while the judge thinks.

mod message;
mod reply;
mod request;
mod stream;

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use policy::{Cause, Content, Outcome, Verdict};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::app::App;
use crate::door::Caller;
use crate::error::{ApiError, OpenAiError};
use crate::guard::forward;
use crate::shelf::Served;
use crate::wire::{OpenAiJson, OpenAiRefusal, parse};
pub(crate) use message::{Message, MessageContent, MessagePart};
pub(crate) use reply::{Completion, Said, chunk, content, logprobs_of, now};
pub(crate) use request::{ChatRequest, Question, read_inline};
pub(crate) use stream::{Events, Gone};

/// The judge's name as a chat model, whatever model judges.
pub(crate) const JUDGE: &str = "safeguard";

/// Ask the judge as a chat model
///
/// `model` is `safeguard`: the system or developer messages are the policy, the rest is the item. Or
/// `safeguard/NAME`: all messages are the item, under that policy of the folder. The reply's content is the
/// verdict's JSON, its `reasoning` how the judge got there.
///
/// Where the settings name a model's server to guard, every other `model` is that server's: the messages are
/// judged, sent on, and the reply is judged before it is read. A blocked one ends with `content_filter`.
#[utoipa::path(
    post, path = "/v1/chat/completions", tag = "OpenAI", request_body = ChatRequest,
    responses(
        (status = 200, description = "With `stream`, chunks as server-sent events", body = Completion),
        (status = 400, body = OpenAiError),
        (status = 404, body = OpenAiError),
        (status = 409, body = OpenAiError),
        (status = 413, body = OpenAiError),
        (status = 415, body = OpenAiError),
        (status = 422, body = OpenAiError),
        (status = 429, body = OpenAiError),
        (status = 500, body = OpenAiError),
        (status = 502, description = "The guarded model's server failed", body = OpenAiError),
        (status = 503, description = "No verdict", body = OpenAiError),
    )
)]
pub(crate) async fn completions(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    OpenAiJson(body): OpenAiJson<Value>,
) -> Result<Response, OpenAiRefusal> {
    if let Some(guard) = &app.guard
        && !is_judge(&app, body["model"].as_str().unwrap_or_default())
    {
        let guard = Arc::clone(guard);
        return Ok(forward(app, guard, caller, &headers, body).await?);
    }
    let request: ChatRequest = serde_json::from_value(body)
        .map_err(|error| ApiError::Json { problem: error.to_string() })?;
    let question = Question::read(&app, caller, "/v1/chat/completions", request).await?;
    let (ticket, heard) = question.ask(&app).await?;
    let id = format!("chatcmpl-{:016x}", getrandom::u64().map_err(|_| ApiError::Random)?);
    if question.stream {
        return Ok(stream::reply(app, id, question, ticket, heard));
    }
    let verdict = ticket.verdict().await;
    question.record(&app, &verdict).await?;
    if let Some(error) = no_verdict(&verdict) {
        return Err(error.into());
    }
    let said = Said::collect(heard);
    Ok(axum::Json(Completion::new(id, &question, &verdict, &said)).into_response())
}

/// The error where there is no verdict; a reply that was cut off is told as such instead.
pub(crate) fn no_verdict(verdict: &Verdict) -> Option<ApiError> {
    match verdict.outcome {
        Outcome::Undetermined(cause) if cause != Cause::Truncated => {
            Some(ApiError::Undetermined { policy: verdict.policy.name.clone(), cause })
        }
        _ => None,
    }
}

/// What a body asks to be judged.
///
/// # Errors
/// As [`Question::read`].
pub(crate) fn read(body: &[u8]) -> Result<Vec<Arc<Content>>, ApiError> {
    read_inline(&parse(body)?)
}

/// Whether a model's name means the judge.
fn is_judge(app: &App, model: &str) -> bool {
    let under = model.strip_prefix(JUDGE);
    model == app.model || under.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The models that can be asked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Models {
    object: &'static str,
    data: Vec<ModelBody>,
}

/// One of them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelBody {
    id: String,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

/// The models that can be asked
#[utoipa::path(get, path = "/v1/models", tag = "OpenAI", responses((status = 200, body = Models)))]
pub(crate) async fn models(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<axum::Json<Models>, OpenAiRefusal> {
    let served = app.served(&caller).await?;
    let body = |id| ModelBody { id, object: "model", created: 0, owned_by: "safeguard" };
    let data = names(&served).into_iter().map(body).collect();
    Ok(axum::Json(Models { object: "list", data }))
}

/// The judge, and the judge under each policy of the folder.
fn names(served: &Served) -> Vec<String> {
    let under = served.policies.keys().map(|name| format!("{JUDGE}/{name}"));
    std::iter::once(JUDGE.to_owned()).chain(under).collect()
}
