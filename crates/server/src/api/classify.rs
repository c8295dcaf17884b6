//! `POST /v1/classify`: items × policies, each pair with its verdict or the reason why there is none.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use policy::{Content, Effort, JudgeSettings, Outcome};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::app::{App, Pair};
use crate::error::{ApiError, Problem};
use crate::metrics::Disposition;
use crate::pool::Class;
use crate::selector::{Chosen, Selector};
use crate::settings::{MAX_SECONDS, OnUndetermined};
use crate::wire::{Json, VerdictBody, parse};

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
    /// Milliseconds until what has no verdict yet is undetermined.
    #[serde(default)]
    deadline_ms: Option<u64>,
    /// What `action` says where there is no verdict.
    #[serde(default)]
    on_undetermined: OnUndetermined,
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
    reasoning: bool,
}

/// All pairs, item by item.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClassifyResponse {
    /// The strongest action of all pairs: `block`, then `review`, then `allow`.
    action: Action,
    results: Vec<PairResult>,
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
    responses(
        (status = 200, body = ClassifyResponse),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 413, body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too much waits, or the deadline cannot be met", body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn classify(
    State(app): State<Arc<App>>,
    Json(request): Json<ClassifyRequest>,
) -> Result<axum::Json<ClassifyResponse>, ApiError> {
    let settings = settings(&app.judging, &request);
    let deadline = app.deadline(deadline(request.deadline_ms)?);
    let policies = policies(&app, request.policies)?;
    if request.items.is_empty() {
        return Err(ApiError::field("items", "there is none"));
    }
    app.check_count(request.items.len().saturating_mul(policies.len()))?;
    let items = items(request.items);
    let mut pairs = Vec::new();
    for (_, content) in &items {
        for (_, policy) in &policies {
            if let (Ok(content), Ok(chosen)) = (content, policy) {
                pairs.push(Pair { chosen: chosen.clone(), content: Arc::clone(content) });
            }
        }
    }
    let verdicts = app.judge(Class::Sync, pairs.clone(), &settings, deadline).await?;
    let ids = app.record_all("/v1/classify", &pairs, &settings, &verdicts).await?;
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
                    let (action, disposition) =
                        Action::of(verdict.outcome, request.on_undetermined);
                    app.metrics.disposed(&chosen.metric, disposition);
                    let reference = PolicyBody {
                        name: verdict.policy.name.clone(),
                        id: Some(verdict.policy.id.0.clone()),
                    };
                    let verdict = Some(VerdictBody::new(verdict, request.reasoning));
                    let decision = decision.map(String::from);
                    PairResult {
                        index,
                        id,
                        policy: reference,
                        action,
                        decision,
                        verdict,
                        error: None,
                    }
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
    let action = results.iter().map(|it| it.action).max().unwrap_or(Action::Review);
    Ok(axum::Json(ClassifyResponse { action, results }))
}

/// What to do with a pair that is an error: as with any that has no verdict.
fn unjudged(otherwise: OnUndetermined) -> Action {
    match otherwise {
        OnUndetermined::Allow => Action::Allow,
        OnUndetermined::Review => Action::Review,
        OnUndetermined::Block => Action::Block,
    }
}

fn settings(usual: &JudgeSettings, request: &ClassifyRequest) -> JudgeSettings {
    JudgeSettings {
        effort: request.effort.or(usual.effort),
        seed: request.seed.or(usual.seed),
        max_analysis_tokens: request.max_analysis_tokens.or(usual.max_analysis_tokens),
        ..usual.clone()
    }
}

fn deadline(asked: Option<u64>) -> Result<Option<Duration>, ApiError> {
    let longest = MAX_SECONDS as u64 * 1_000;
    match asked {
        Some(ms) if ms == 0 || ms > longest => {
            Err(ApiError::field("deadline_ms", format!("must be 1 to {longest}")))
        }
        asked => Ok(asked.map(Duration::from_millis)),
    }
}

type Named<T> = (String, Result<T, ApiError>);

fn policies(app: &App, asked: Option<Vec<Selector>>) -> Result<Vec<Named<Chosen>>, ApiError> {
    let served = app.shelf.served();
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
    Ok(asked.iter().map(|it| (it.name().to_owned(), it.find(&served))).collect())
}

type Item = (Option<Value>, Result<Arc<Content>, ApiError>);

fn items(items: Vec<Value>) -> Vec<Item> {
    items.into_iter().map(item).collect()
}

/// What a body asks to be judged.
///
/// # Errors
/// [`ApiError`] for the first item that cannot be judged.
pub(crate) fn read(body: &[u8]) -> Result<Vec<Arc<Content>>, ApiError> {
    let request: ClassifyRequest = parse(body)?;
    deadline(request.deadline_ms)?;
    items(request.items).into_iter().map(|(_, content)| content).collect()
}

/// An item with its id, if it has one.
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
