//! What a request asks to be judged, by what and how.

use std::sync::Arc;
use std::time::Duration;

use policy::{Content, Effort, JudgeSettings};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::api::App;
use crate::error::ApiError;
use crate::jobs::LineDetails;
use crate::selector::{Chosen, Selector};
use crate::settings::{MAX_SECONDS, OnUndetermined};
use crate::shelf::Served;
use crate::webhooks::WebhookRequest;
use crate::wire::parse;

/// What is to be judged, and by what.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClassifyRequest {
    /// Texts as strings, or objects: `{"text"}`, `{"prompt","reply"}` or `{"messages":[{"role","text"}]}`, each
    /// with `"id"` and `"metadata"` if wanted.
    #[schema(value_type = Vec<Object>, example = json!(["a text", {"id": "7", "prompt": "a question", "reply": "an answer"}]))]
    items: Vec<Value>,
    /// Policies of the folder by `name`, `name@` and the first digits of a version, or a whole version; or
    /// `{"name","text"}` with the policy itself. By default all policies of the folder.
    #[serde(default)]
    policies: Option<Vec<Selector>>,
    /// `sync`: the answer has the verdicts. `async`: the answer comes at once, with a job that is judged later,
    /// whatever happens in between; it needs a store.
    #[serde(default)]
    pub(in crate::api) mode: Mode,
    /// Milliseconds until what has no verdict yet is undetermined.
    #[serde(default)]
    pub(in crate::api) deadline_ms: Option<u64>,
    /// With `async`: what becomes at the deadline of pairs without a verdict.
    #[serde(default)]
    pub(in crate::api) on_deadline: Option<AtDeadline>,
    /// With `async`: who is told of outcomes.
    #[serde(default)]
    pub(in crate::api) webhook: Option<WebhookRequest>,
    /// What `action` says where there is no verdict.
    #[serde(default)]
    pub(in crate::api) on_undetermined: OnUndetermined,
    /// How long the model should think: `low`, `medium` or `high`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    effort: Option<Effort>,
    /// Most tokens of reasoning.
    #[serde(default)]
    max_analysis_tokens: Option<usize>,
    /// Whether only outcome and score are asked for: no reasoning, no rule, no rationale, one pass over the item.
    #[serde(default)]
    direct: Option<bool>,
    /// Repeats a verdict.
    #[serde(default)]
    seed: Option<u64>,
    /// Whether to send the reasoning too; it is for reviewers, and may repeat the item.
    #[serde(default)]
    pub(in crate::api) reasoning: bool,
}

impl ClassifyRequest {
    /// Whether its answer comes later, or is to come by a time of its own.
    pub(crate) fn is_later(&self) -> bool {
        self.mode == Mode::Async || self.deadline_ms.is_some()
    }

    /// What the reply to a line of a batch depends on.
    pub(crate) fn asked(&self) -> LineDetails {
        let &ClassifyRequest { on_undetermined, reasoning, .. } = self;
        LineDetails::Classify { on_undetermined, reasoning }
    }
}

/// When the verdicts come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// With the answer.
    #[default]
    Sync,
    /// Later.
    Async,
}

/// What becomes of pairs that have no verdict at their job's deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AtDeadline {
    /// They are undetermined, by timeout.
    #[default]
    Undetermined,
    /// They wait on; the webhook is told of the deadline, and of their outcomes when they come.
    Wait,
}

/// Whether a request whose answer has the verdicts asks for nothing that comes later.
///
/// # Errors
/// [`ApiError::Field`].
pub(crate) fn check_sync(request: &ClassifyRequest) -> Result<(), ApiError> {
    for (field, is_there) in
        [("webhook", request.webhook.is_some()), ("on_deadline", request.on_deadline.is_some())]
    {
        if is_there {
            return Err(ApiError::field(field, "is for `\"mode\": \"async\"` only"));
        }
    }
    Ok(())
}

/// An item with its id, if it has one, and its content.
pub(crate) type Item = (Option<Value>, Result<Arc<Content>, ApiError>);

/// What is to be judged by what.
///
/// # Errors
/// [`ApiError::Field`], [`ApiError::NoPolicies`], [`ApiError::TooMany`]; those of one item or policy are its own.
pub(crate) fn items_and_policies(
    served: &Served,
    request: &mut ClassifyRequest,
    n_most: usize,
) -> Result<(Vec<Item>, Vec<Named<Chosen>>), ApiError> {
    let policies = policies(served, request.policies.take())?;
    let items = std::mem::take(&mut request.items);
    if items.is_empty() {
        return Err(ApiError::field("items", "there is none"));
    }
    let n = items.len().saturating_mul(policies.len());
    if n > n_most {
        return Err(ApiError::TooMany { n, limit: n_most });
    }
    Ok((items.into_iter().map(item).collect(), policies))
}

/// How the judge is asked.
///
/// # Errors
/// [`ApiError::Field`].
pub(crate) fn settings(app: &App, request: &ClassifyRequest) -> Result<JudgeSettings, ApiError> {
    let usual = &app.judging;
    let direct = request.direct.unwrap_or(usual.direct);
    if direct && !app.scores_directly {
        let problem =
            "this service asks a chat server, which does not score directly: leave it out";
        return Err(ApiError::field("direct", problem));
    }
    if direct && request.max_analysis_tokens.is_some() {
        let problem = "a verdict that is scored directly has no reasoning: leave it out, or ask for reasoning with `\"direct\": false`";
        return Err(ApiError::field("max_analysis_tokens", problem));
    }
    Ok(JudgeSettings {
        effort: request.effort.or(usual.effort),
        seed: request.seed.or(usual.seed),
        max_analysis_tokens: request.max_analysis_tokens.or(usual.max_analysis_tokens),
        direct,
        ..usual.clone()
    })
}

pub(in crate::api) fn deadline(asked: Option<u64>) -> Result<Option<Duration>, ApiError> {
    let longest = MAX_SECONDS as u64 * 1_000;
    match asked {
        Some(ms) if ms == 0 || ms > longest => {
            Err(ApiError::field("deadline_ms", format!("must be 1 to {longest}")))
        }
        asked => Ok(asked.map(Duration::from_millis)),
    }
}

/// What the request called it, and what that is.
pub(crate) type Named<T> = (String, Result<T, ApiError>);

fn policies(served: &Served, asked: Option<Vec<Selector>>) -> Result<Vec<Named<Chosen>>, ApiError> {
    let Some(asked) = asked else {
        if served.policies.is_empty() {
            return Err(ApiError::NoPolicies);
        }
        let all = served.policies.values().map(|it| (it.name.clone(), Ok(Chosen::served(it))));
        return Ok(all.collect());
    };
    if asked.is_empty() {
        return Err(ApiError::field("policies", "there is none; leave it out to mean all"));
    }
    Ok(asked.iter().map(|it| (it.name().to_owned(), it.find(served))).collect())
}

/// What a body asks to be judged.
///
/// # Errors
/// [`ApiError`] for the first item that cannot be judged.
pub(crate) fn read(body: &[u8]) -> Result<Vec<Arc<Content>>, ApiError> {
    let request: ClassifyRequest = parse(body)?;
    deadline(request.deadline_ms)?;
    request.items.into_iter().map(|value| item(value).1).collect()
}

fn item(value: Value) -> Item {
    match value {
        Value::String(text) => {
            let content = Content::text(text);
            (None, checked(content))
        }
        Value::Object(mut object) => {
            let id = object.remove("id");
            let content = serde_json::from_value(Value::Object(object)).map_err(|_| {
                let forms =
                    "give `text`, `prompt` with `reply`, or `messages` with `role` and `text` each";
                ApiError::field("items", forms)
            });
            (id, content.and_then(checked))
        }
        _ => (None, Err(ApiError::field("items", "an item is a string or an object"))),
    }
}

fn checked(content: Content) -> Result<Arc<Content>, ApiError> {
    match content.check() {
        Ok(()) => Ok(Arc::new(content)),
        Err(error) => Err(ApiError::field("items", error.to_string())),
    }
}
