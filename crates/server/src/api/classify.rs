//! `POST /v1/classify`: items × policies, each pair with its verdict or the reason why there is none.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use policy::{Content, Effort, JudgeSettings, Outcome, PolicyRef, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::DecisionId;
use utoipa::ToSchema;

use super::app::{App, Pair};
use super::later::accept_later;
use crate::door::Caller;
use crate::error::{ApiError, Problem};
use crate::jobs::{JobBody, LineDetails};
use crate::metrics::Disposition;
use crate::pool::Class;
use crate::selector::{Chosen, Selector};
use crate::settings::{MAX_SECONDS, OnUndetermined};
use crate::shelf::Served;
use crate::webhooks::WebhookRequest;
use crate::wire::{Digested, Json, VerdictBody, parse};

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
    pub(super) mode: Mode,
    /// Milliseconds until what has no verdict yet is undetermined.
    #[serde(default)]
    pub(super) deadline_ms: Option<u64>,
    /// With `async`: what becomes at the deadline of pairs without a verdict.
    #[serde(default)]
    pub(super) on_deadline: Option<AtDeadline>,
    /// With `async`: who is told of outcomes.
    #[serde(default)]
    pub(super) webhook: Option<WebhookRequest>,
    /// What `action` says where there is no verdict.
    #[serde(default)]
    pub(super) on_undetermined: OnUndetermined,
    /// How long the model should think: `low`, `medium` or `high`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    effort: Option<Effort>,
    /// Most tokens of reasoning.
    #[serde(default)]
    max_analysis_tokens: Option<usize>,
    /// Repeats a verdict.
    #[serde(default)]
    seed: Option<u64>,
    /// Whether to send the reasoning too; it is for reviewers, and may repeat the item.
    #[serde(default)]
    pub(super) reasoning: bool,
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

/// All pairs, item by item.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClassifyResponse {
    /// The strongest action of all pairs: `block`, then `review`, then `allow`.
    action: Action,
    results: Vec<PairResult>,
}

impl ClassifyResponse {
    pub(crate) fn new(results: Vec<PairResult>) -> ClassifyResponse {
        let action = results.iter().map(|it| it.action).max().unwrap_or(Action::Review);
        ClassifyResponse { action, results }
    }
}

/// One pair.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PairResult {
    /// The item's place in the request, from 0.
    index: usize,
    /// The item's own id.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
    policy: PolicyBody,
    action: Action,
    /// The decision's id in the store, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<String>,
    /// The verdict, where the pair could be judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<VerdictBody>,
    /// Why it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

impl PairResult {
    /// A pair that was judged; `id` is the item's own.
    pub(crate) fn judged(
        (index, id): (usize, Option<Value>),
        decision: Option<DecisionId>,
        verdict: Verdict,
        on_undetermined: OnUndetermined,
        with_reasoning: bool,
    ) -> PairResult {
        PairResult {
            index,
            id,
            policy: PolicyBody::of(&verdict.policy),
            action: Action::of(verdict.outcome, on_undetermined).0,
            decision: decision.map(String::from),
            verdict: Some(VerdictBody::new(verdict, with_reasoning)),
            error: None,
        }
    }
}

impl PolicyBody {
    pub(crate) fn of(policy: &PolicyRef) -> PolicyBody {
        PolicyBody { name: policy.name.clone(), id: Some(policy.id.0.clone()) }
    }
}

/// Which policy was applied.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PolicyBody {
    name: String,
    /// SHA-256 of its file; absent where it was not found.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

/// What to do with an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    /// Let it through.
    Allow,
    /// A person decides.
    Review,
    /// Keep it back.
    Block,
}

impl Action {
    /// What an outcome leads to, and how the traffic counts it.
    pub(crate) fn of(outcome: Outcome, otherwise: OnUndetermined) -> (Action, Disposition) {
        match (outcome, otherwise) {
            (Outcome::Clear, _) => (Action::Allow, Disposition::Admitted),
            (Outcome::Violation, _) => (Action::Block, Disposition::Blocked),
            (Outcome::Undetermined(_), OnUndetermined::Block) => {
                (Action::Block, Disposition::Blocked)
            }
            (Outcome::Undetermined(_), OnUndetermined::Allow) => {
                (Action::Allow, Disposition::Bypassed)
            }
            (Outcome::Undetermined(_), OnUndetermined::Review) => {
                (Action::Review, Disposition::Undetermined)
            }
        }
    }
}

/// Judge items under policies
///
/// Every pair has a verdict or an error of its own; one that fails does not fail the others. `action` is what
/// to do with a pair, with `on_undetermined` applied.
#[utoipa::path(
    post, path = "/v1/classify", tag = "ours", request_body = ClassifyRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "With `async`: a second request with it is the first one's job")),
    responses(
        (status = 200, body = ClassifyResponse),
        (status = 202, description = "With `async`: the job is on the disk; `Location` is where it is read", body = JobBody),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "With `async`: a policy is not served", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "With `async`: another version of a policy is served", body = Problem, content_type = "application/problem+json"),
        (status = 413, body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too much waits, or the deadline cannot be met", body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn classify(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    Digested { body: Json(mut request), digest }: Digested<ClassifyRequest>,
) -> Result<Response, ApiError> {
    let served = app.served(&caller).await?;
    if request.mode == Mode::Async {
        return accept_later(&app, &caller, &served, &headers, request, digest).await;
    }
    check_sync(&request)?;
    let settings = settings(&app.judging, &request);
    let deadline = app.deadline(deadline(request.deadline_ms)?);
    let n_most = app.settings.limits.pairs;
    let (items, policies) = items_and_policies(&served, &mut request, n_most)?;
    let mut pairs = Vec::new();
    for (_, content) in &items {
        for (_, policy) in &policies {
            if let (Ok(content), Ok(chosen)) = (content, policy) {
                pairs.push(Pair { chosen: chosen.clone(), content: Arc::clone(content) });
            }
        }
    }
    let verdicts = app.judge(&caller, Class::Sync, pairs.clone(), &settings, deadline).await?;
    let ids = app.record_all(&caller, "/v1/classify", &pairs, &settings, &verdicts).await?;
    let mut verdicts = verdicts.into_iter().zip(ids);
    let mut results = Vec::new();
    for (index, (id, content)) in items.iter().enumerate() {
        for (name, policy) in &policies {
            let judged = match (content, policy) {
                (Ok(_), Ok(chosen)) => {
                    verdicts.next().map(|verdict| (chosen, verdict)).ok_or(ApiError::Stopping)
                }
                (Err(error), _) | (_, Err(error)) => Err(error.clone()),
            };
            let id = id.clone();
            results.push(match judged {
                Ok((chosen, (verdict, decision))) => {
                    let (otherwise, reasoning) = (request.on_undetermined, request.reasoning);
                    let (_, disposition) = Action::of(verdict.outcome, otherwise);
                    app.metrics.disposed(&chosen.metric, disposition);
                    PairResult::judged((index, id), decision, verdict, otherwise, reasoning)
                }
                Err(error) => {
                    let policy = PolicyBody { name: name.clone(), id: None };
                    let error = Some(error.problem());
                    let action = unjudged(request.on_undetermined);
                    PairResult { index, id, policy, action, decision: None, verdict: None, error }
                }
            });
        }
    }
    Ok(axum::Json(ClassifyResponse::new(results)).into_response())
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

/// What to do with a pair that is an error: as with any that has no verdict.
fn unjudged(otherwise: OnUndetermined) -> Action {
    match otherwise {
        OnUndetermined::Allow => Action::Allow,
        OnUndetermined::Review => Action::Review,
        OnUndetermined::Block => Action::Block,
    }
}

/// How the judge is asked.
pub(crate) fn settings(usual: &JudgeSettings, request: &ClassifyRequest) -> JudgeSettings {
    JudgeSettings {
        effort: request.effort.or(usual.effort),
        seed: request.seed.or(usual.seed),
        max_analysis_tokens: request.max_analysis_tokens.or(usual.max_analysis_tokens),
        ..usual.clone()
    }
}

pub(super) fn deadline(asked: Option<u64>) -> Result<Option<Duration>, ApiError> {
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
