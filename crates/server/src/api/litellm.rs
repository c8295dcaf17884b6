//! `POST /beta/litellm_basic_guardrail_api`: a guardrail of LiteLLM, which asks before and after its models.

use std::sync::Arc;

use axum::extract::State;
use policy::{Cause, Content, Outcome, Turn, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::app::{App, Pair};
use super::chat::Message;
use crate::door::Caller;
use crate::error::{ApiError, Problem};
use crate::guard::{WithoutVerdict, said, turns};
use crate::metrics::Disposition;
use crate::pool::Class;
use crate::selector::{Chosen, all_or};
use crate::wire::{Json, parse};

/// What goes to a model, or comes from it. Fields that say nothing of it are passed over.
#[derive(Deserialize, ToSchema)]
pub(crate) struct GuardrailRequest {
    /// Which of the two.
    input_type: Direction,
    /// Texts of the request or the reply.
    #[serde(default)]
    texts: Option<Vec<String>>,
    /// The whole conversation, where LiteLLM knows it.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    structured_messages: Option<Value>,
    /// Tools that the model is told of.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    tools: Option<Value>,
    /// Calls of tools in the reply.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    tool_calls: Option<Value>,
    /// Cannot be judged.
    #[serde(default)]
    images: Option<Vec<String>>,
}

/// Before the model or after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Direction {
    Request,
    Response,
}

/// What is to become of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GuardrailResponse {
    /// `NONE`, or `BLOCKED`.
    action: &'static str,
    /// Which policies are against it; for the caller of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked_reason: Option<String>,
}

const ROUTE: &str = "/beta/litellm_basic_guardrail_api";

/// Judge what goes through LiteLLM
///
/// Messages, tools, replies and calls of tools are judged as one conversation. What has no verdict is blocked,
/// unless the settings say otherwise.
#[utoipa::path(
    post, path = "/beta/litellm_basic_guardrail_api", tag = "others", request_body = GuardrailRequest,
    responses(
        (status = 200, body = GuardrailResponse),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The settings name a policy that is not served", body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 413, body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
        (status = 429, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn guardrail(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(request): Json<GuardrailRequest>,
) -> Result<axum::Json<GuardrailResponse>, ApiError> {
    let served = app.served(&caller).await?;
    let policies = all_or(&app.settings.litellm.policies, &served)?;
    let outcomes = match request.content()? {
        Said::Nothing => return Ok(axum::Json(GuardrailResponse::of(&[]))),
        Said::Unreadable => vec![Outcome::Undetermined(Cause::UnsupportedInput); policies.len()],
        Said::Content(content) => judge(&app, &caller, &policies, content).await?,
    };
    let allows = app.settings.litellm.on_undetermined == WithoutVerdict::Allow;
    let mut against = Vec::new();
    for (chosen, outcome) in policies.iter().zip(outcomes) {
        let disposition = match outcome {
            Outcome::Clear => Disposition::Admitted,
            Outcome::Undetermined(_) if allows => Disposition::Bypassed,
            _ => Disposition::Blocked,
        };
        app.metrics.disposed(&chosen.metric, outcome, disposition);
        if disposition == Disposition::Blocked {
            against.push((chosen.policy.name.clone(), outcome));
        }
    }
    Ok(axum::Json(GuardrailResponse::of(&against)))
}

/// What a body asks to be judged.
///
/// # Errors
/// [`ApiError`] for a body that is none.
pub(crate) fn read(body: &[u8]) -> Result<Vec<Arc<Content>>, ApiError> {
    Ok(match parse::<GuardrailRequest>(body)?.content()? {
        Said::Content(content) => vec![Arc::new(content)],
        Said::Nothing | Said::Unreadable => Vec::new(),
    })
}

async fn judge(
    app: &App,
    caller: &Caller,
    policies: &[Chosen],
    content: Content,
) -> Result<Vec<Outcome>, ApiError> {
    let content = Arc::new(content);
    let pair = |chosen: &Chosen| Pair { chosen: chosen.clone(), content: Arc::clone(&content) };
    let pairs: Vec<Pair> = policies.iter().map(pair).collect();
    let deadline = app.deadline(None);
    let verdicts = app.judge(caller, Class::Guard, pairs.clone(), &app.judging, deadline).await?;
    app.record_all(caller, ROUTE, &pairs, &app.judging, &verdicts).await?;
    Ok(verdicts.iter().map(|verdict: &Verdict| verdict.outcome).collect())
}

/// What there is to judge.
enum Said {
    Nothing,
    /// Images, or parts that are no text.
    Unreadable,
    Content(Content),
}

impl GuardrailRequest {
    /// # Errors
    /// [`ApiError::Field`] for messages that are none.
    fn content(self) -> Result<Said, ApiError> {
        if self.images.is_some_and(|images| !images.is_empty()) {
            return Ok(Said::Unreadable);
        }
        let body = json!({ "messages": self.structured_messages, "tools": self.tools });
        let messages: Option<Vec<Message>> = serde_json::from_value(body["messages"].clone())
            .map_err(|_| ApiError::field("structured_messages", "it cannot be read"))?;
        let Ok(mut turns) = turns(&body, &messages.unwrap_or_default()) else {
            return Ok(Said::Unreadable);
        };
        let role = match self.input_type {
            Direction::Request => "user",
            Direction::Response => "assistant",
        };
        let mut more = Vec::new();
        for text in self.texts.into_iter().flatten() {
            let is_there = |turn: &Turn| turn.text.contains(&text);
            if self.input_type == Direction::Response || !turns.iter().any(is_there) {
                more.push(text);
            }
        }
        more.push(said(&json!({ "tool_calls": self.tool_calls })));
        more.retain(|text| !text.is_empty());
        if !more.is_empty() {
            turns.push(Turn { role: role.to_owned(), text: more.join("\n"), tool: None });
        }
        let content = Content::Conversation { messages: turns, metadata: Vec::new() };
        // All that can be wrong with it is that it is empty.
        Ok(content.check().map_or(Said::Nothing, |()| Said::Content(content)))
    }
}

impl GuardrailResponse {
    /// The policies that are against it, with what they say.
    fn of(against: &[(String, Outcome)]) -> GuardrailResponse {
        let reason = |(policy, outcome): &(String, Outcome)| match outcome {
            Outcome::Undetermined(cause) => format!("no verdict under policy {policy}: {cause}"),
            _ => format!("it violates policy {policy}"),
        };
        let reasons: Vec<String> = against.iter().map(reason).collect();
        GuardrailResponse {
            action: if reasons.is_empty() { "NONE" } else { "BLOCKED" },
            blocked_reason: (!reasons.is_empty()).then(|| reasons.join("; ")),
        }
    }
}
