//! `POST /v1/responses`: the judge in the shape of OpenAI's Responses.
//!
//! The question is that of `chat/`, asked in other words: `request.rs` reads them, `reply.rs` writes the
//! answer, `stream.rs` writes it while the judge thinks.

mod reply;
mod request;
mod stream;

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use policy::Content;

use super::app::App;
use super::chat::{Question, Said, no_verdict, read_inline};
use crate::door::Caller;
use crate::error::{ApiError, OpenAiError};
use crate::wire::{OpenAiJson, OpenAiRefusal, parse};
use reply::ResponseBody;
use request::{ResponsesRequest, in_these_words};

/// Ask the judge in the shape of Responses
///
/// `model` is `safeguard`: `instructions` and the system or developer messages of `input` are the policy, the rest
/// is the item. Or `safeguard/NAME`: all of it is the item, under that policy of the folder. The output is a
/// `reasoning` item, how the judge got there, and a message with the verdict's JSON. Nothing is kept to go on from.
#[utoipa::path(
    post, path = "/v1/responses", tag = "OpenAI", request_body = ResponsesRequest,
    responses(
        (status = 200, description = "With `stream`, named server-sent events from `response.created` to `response.completed`", body = ResponseBody),
        (status = 400, body = OpenAiError),
        (status = 404, body = OpenAiError),
        (status = 409, body = OpenAiError),
        (status = 413, body = OpenAiError),
        (status = 415, body = OpenAiError),
        (status = 422, body = OpenAiError),
        (status = 429, body = OpenAiError),
        (status = 500, body = OpenAiError),
        (status = 503, description = "No verdict", body = OpenAiError),
    )
)]
pub(crate) async fn responses(
    State(app): State<Arc<App>>,
    caller: Caller,
    OpenAiJson(request): OpenAiJson<ResponsesRequest>,
) -> Result<Response, OpenAiRefusal> {
    let mut body = ResponseBody::begun(&request)?;
    let chat = request.into_chat()?;
    let question = Question::read(&app, caller, "/v1/responses", chat).await;
    let question = question.map_err(in_these_words)?;
    body.answers(&question);
    let (ticket, heard) = question.ask(&app).await?;
    if question.stream {
        return Ok(stream::reply(app, body, question, ticket, heard));
    }
    let verdict = ticket.verdict().await;
    question.record(&app, &verdict).await?;
    if let Some(error) = no_verdict(&verdict) {
        return Err(error.into());
    }
    body.end(&question, &verdict, &Said::collect(heard));
    Ok(axum::Json(body).into_response())
}

/// What a body asks to be judged.
///
/// # Errors
/// As [`Question::read`].
pub(crate) fn read(body: &[u8]) -> Result<Vec<Arc<Content>>, ApiError> {
    let request: ResponsesRequest = parse(body)?;
    read_inline(&request.into_chat()?).map_err(in_these_words)
}

/// A name that no other thing of the service has.
fn new_id(kind: &str) -> Result<String, ApiError> {
    let number = getrandom::u64().map_err(|_| ApiError::Random)?;
    Ok(format!("{kind}_{number:016x}"))
}
