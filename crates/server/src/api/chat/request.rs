//! A chat request, read as a question to the judge.

use std::sync::Arc;

use policy::{Content, Effort, Heard, JudgeSettings, Policy, Verdict};
use reasoner::{bound_schema, reply_schema};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use super::super::app::App;
use super::message::{Message, content};
use super::{JUDGE, names};
use crate::door::{Caller, Refusal};
use crate::error::ApiError;
use crate::pool::{Class, Task, Ticket};
use crate::selector::{Chosen, INLINE, Selector};
use crate::shelf::Served;

/// What the judge is asked. Fields that it has no use for are passed over.
#[derive(Clone, Default, Deserialize, ToSchema)]
pub(crate) struct ChatRequest {
    /// `safeguard`, or `safeguard/` and a policy's name.
    #[schema(example = "safeguard")]
    pub(crate) model: String,
    pub(crate) messages: Vec<Message>,
    /// Whether the reply comes in pieces.
    #[serde(default)]
    pub(crate) stream: Option<bool>,
    #[serde(default)]
    pub(crate) stream_options: Option<StreamOptions>,
    /// `low`, `medium` or `high`; words of other models mean the nearest.
    #[serde(default)]
    pub(crate) reasoning_effort: Option<String>,
    /// Whether to send the reasoning.
    #[serde(default)]
    pub(crate) include_reasoning: Option<bool>,
    /// Most tokens of reasoning; the verdict has room of its own.
    #[serde(default)]
    pub(crate) max_completion_tokens: Option<usize>,
    /// The older name of the same.
    #[serde(default)]
    pub(crate) max_tokens: Option<usize>,
    #[serde(default)]
    pub(crate) temperature: Option<f32>,
    #[serde(default)]
    pub(crate) top_p: Option<f32>,
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub(crate) seed: Option<i64>,
    /// Whether to send the probabilities of the verdict's tokens, where the judge knows them.
    #[serde(default)]
    pub(crate) logprobs: Option<bool>,
    /// Most alternatives of each token, up to 20.
    #[serde(default)]
    pub(crate) top_logprobs: Option<usize>,
    /// 1.
    #[serde(default)]
    pub(crate) n: Option<u64>,
    /// `text`, `json_object`, or `json_schema` with the very schema of the policy: other forms are refused.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(crate) response_format: Option<Value>,
}

/// How a reply in pieces ends.
#[derive(Clone, Copy, Deserialize, ToSchema)]
pub(crate) struct StreamOptions {
    /// Whether a last chunk has the usage.
    #[serde(default)]
    pub(crate) include_usage: bool,
}

/// A question to the judge.
pub(crate) struct Question {
    pub(crate) caller: Caller,
    /// Where it was asked.
    route: &'static str,
    /// The model's name as the caller wrote it.
    pub(crate) model: String,
    pub(crate) chosen: Chosen,
    pub(crate) content: Arc<Content>,
    pub(crate) settings: JudgeSettings,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) include_reasoning: bool,
    /// Alternatives of each token; `None`: no probabilities at all.
    pub(crate) n_logprobs: Option<usize>,
}

impl Question {
    /// Reads a request.
    ///
    /// # Errors
    /// [`ApiError`] with the field at fault.
    pub(crate) async fn read(
        app: &App,
        caller: Caller,
        route: &'static str,
        request: ChatRequest,
    ) -> Result<Question, ApiError> {
        let served = app.served(&caller).await?;
        Question::under(app, &served, caller, route, request)
    }

    /// The same, with the policies that the caller may use known already.
    ///
    /// # Errors
    /// [`ApiError`] with the field at fault.
    pub(crate) fn under(
        app: &App,
        served: &Served,
        caller: Caller,
        route: &'static str,
        request: ChatRequest,
    ) -> Result<Question, ApiError> {
        let settings = settings(&app.judging, &request)?;
        let (chosen, content) = pair(app, served, &request)?;
        check_format(request.response_format.as_ref(), &chosen.policy)?;
        let n_logprobs =
            request.logprobs.unwrap_or(false).then(|| request.top_logprobs.unwrap_or(0));
        Ok(Question {
            caller,
            route,
            model: request.model,
            chosen,
            content: Arc::new(content),
            settings,
            stream: request.stream.unwrap_or(false),
            include_usage: request.stream_options.is_some_and(|it| it.include_usage),
            include_reasoning: request.include_reasoning.unwrap_or(true),
            n_logprobs,
        })
    }

    /// Asks the judge; what it says on its way is heard.
    ///
    /// # Errors
    /// Where the caller's quota or the queue does not take it.
    pub(crate) async fn ask(
        &self,
        app: &App,
    ) -> Result<(Ticket, mpsc::UnboundedReceiver<Heard>), ApiError> {
        self.caller.take(1).await?;
        let (listener, heard) = mpsc::unbounded_channel();
        let task = Task {
            class: Class::Sync,
            key: self.caller.key().cloned(),
            policy: Arc::clone(&self.chosen.policy),
            content: Arc::clone(&self.content),
            settings: self.settings.clone(),
            deadline: app.deadline(None),
            listener: Some(listener),
        };
        let ticket = app.pool.submit(vec![task])?.pop().ok_or(ApiError::Stopping)?;
        Ok((ticket, heard))
    }

    /// Records and counts the answer, before its caller hears of it.
    ///
    /// # Errors
    /// [`ApiError::Store`].
    pub(crate) async fn record(&self, app: &App, verdict: &Verdict) -> Result<(), ApiError> {
        let Question { caller, route, chosen, content, settings, .. } = self;
        app.record(caller, route, chosen, content, settings, verdict).await?;
        app.note(chosen, verdict.outcome);
        Ok(())
    }
}

fn settings(usual: &JudgeSettings, request: &ChatRequest) -> Result<JudgeSettings, ApiError> {
    if request.n.is_some_and(|n| n != 1) {
        return Err(ApiError::field("n", "the judge gives 1 verdict"));
    }
    if request.top_logprobs.is_some_and(|n| n > 20) {
        return Err(ApiError::field("top_logprobs", "must be at most 20"));
    }
    let temperature = request.temperature.unwrap_or(usual.temperature);
    if !(0.0..=2.0).contains(&temperature) {
        return Err(ApiError::field("temperature", "must be 0 to 2"));
    }
    let top_p = request.top_p.unwrap_or(usual.top_p);
    if !(top_p > 0.0 && top_p <= 1.0) {
        return Err(ApiError::field("top_p", "must be above 0 and at most 1"));
    }
    let effort = match request.reasoning_effort.as_deref() {
        None => usual.effort,
        Some("none" | "minimal" | "low") => Some(Effort::Low),
        Some("medium") => Some(Effort::Medium),
        Some("high" | "xhigh" | "max") => Some(Effort::High),
        Some(_) => return Err(ApiError::field("reasoning_effort", "must be low, medium or high")),
    };
    Ok(JudgeSettings {
        effort,
        temperature,
        top_p,
        seed: request.seed.map(i64::cast_unsigned).or(usual.seed),
        max_analysis_tokens: request
            .max_completion_tokens
            .or(request.max_tokens)
            .or(usual.max_analysis_tokens),
        ..usual.clone()
    })
}

/// The policy and the item of a request.
fn pair(app: &App, served: &Served, request: &ChatRequest) -> Result<(Chosen, Content), ApiError> {
    let under = request.model.strip_prefix(JUDGE).and_then(|rest| rest.strip_prefix('/'));
    if let Some(name) = under {
        let chosen = Selector::Named(name.to_owned()).find(served)?;
        return Ok((chosen, content(request.messages.iter())?));
    }
    if request.model != JUDGE && request.model != app.model {
        let (name, known) = (request.model.clone(), names(served).join(", "));
        return Err(ApiError::UnknownModel { name, known });
    }
    if served.is_bound {
        return Err(Refusal::Bound.into());
    }
    inline_pair(request)
}

/// The policy that comes with a request, and the item beside it.
fn inline_pair(request: &ChatRequest) -> Result<(Chosen, Content), ApiError> {
    let is_policy = |message: &&Message| matches!(&*message.role, "system" | "developer");
    let texts = request.messages.iter().filter(is_policy).map(Message::text);
    let text = texts.collect::<Result<Vec<_>, _>>()?.join("\n\n");
    let chosen = Chosen::inline(INLINE, &text).map_err(|error| {
        let problem = format!("the system or developer message is to be the policy: {error}");
        ApiError::field("messages", problem)
    })?;
    let items = request.messages.iter().filter(|message| !is_policy(message));
    Ok((chosen, content(items)?))
}

/// What a request with its own policy asks to be judged.
///
/// # Errors
/// As [`Question::read`].
pub(crate) fn read_inline(request: &ChatRequest) -> Result<Vec<Arc<Content>>, ApiError> {
    settings(&JudgeSettings::default(), request)?;
    let (chosen, content) = inline_pair(request)?;
    check_format(request.response_format.as_ref(), &chosen.policy)?;
    Ok(vec![Arc::new(content)])
}

/// A schema other than the policy's own could only be promised, not kept.
fn check_format(format: Option<&Value>, policy: &Policy) -> Result<(), ApiError> {
    let Some(format) = format else { return Ok(()) };
    match format["type"].as_str() {
        Some("text" | "json_object") => return Ok(()),
        Some("json_schema") => {}
        _ => {
            return Err(ApiError::field(
                "response_format",
                "must be text, json_object or json_schema",
            ));
        }
    }
    let schema = &format["json_schema"]["schema"];
    let own = [reply_schema(policy), bound_schema(policy)];
    let is_own = |text: &String| serde_json::from_str::<Value>(text).is_ok_and(|it| it == *schema);
    if own.iter().any(is_own) {
        return Ok(());
    }
    let problem = format!(
        "the judge answers in the form of its policy only; leave the format out, or send this schema: {}",
        own[0]
    );
    Err(ApiError::field("response_format", problem))
}
