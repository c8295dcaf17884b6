//! A chat request, read as a question to the judge.

use std::sync::Arc;

use policy::{Content, Effort, JudgeSettings, Policy, Turn, Verdict};
use reasoner::{bound_schema, reply_schema};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::super::app::App;
use super::{JUDGE, names};
use crate::door::{Caller, Refusal};
use crate::error::ApiError;
use crate::selector::{Chosen, INLINE, Selector};
use crate::shelf::Served;

/// What the judge is asked. Fields that it has no use for are passed over.
#[derive(Clone, Deserialize, ToSchema)]
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
    reasoning_effort: Option<String>,
    /// Whether to send the reasoning.
    #[serde(default)]
    include_reasoning: Option<bool>,
    /// Most tokens of reasoning; the verdict has room of its own.
    #[serde(default)]
    max_completion_tokens: Option<usize>,
    /// The older name of the same.
    #[serde(default)]
    max_tokens: Option<usize>,
    #[serde(default)]
    temperature: Option<f32>,
    #[serde(default)]
    top_p: Option<f32>,
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    seed: Option<i64>,
    /// Whether to send the probabilities of the verdict's tokens, where the judge knows them.
    #[serde(default)]
    logprobs: Option<bool>,
    /// Most alternatives of each token, up to 20.
    #[serde(default)]
    top_logprobs: Option<usize>,
    /// 1.
    #[serde(default)]
    n: Option<u64>,
    /// `text`, `json_object`, or `json_schema` with the very schema of the policy: other forms are refused.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    response_format: Option<Value>,
}

/// How a reply in pieces ends.
#[derive(Clone, Copy, Deserialize, ToSchema)]
pub(crate) struct StreamOptions {
    /// Whether a last chunk has the usage.
    #[serde(default)]
    pub(crate) include_usage: bool,
}

/// One message.
#[derive(Clone, Deserialize, ToSchema)]
pub(crate) struct Message {
    /// `system`, `developer`, `user`, `assistant` or `tool`.
    pub(crate) role: String,
    #[serde(default)]
    content: Option<MessageContent>,
    /// Calls of tools; judged as their JSON.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    tool_calls: Option<Value>,
}

/// A message's text.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum MessageContent {
    /// The text.
    Text(String),
    /// Its parts; text only.
    Parts(Vec<MessagePart>),
}

/// A part of a message.
#[derive(Clone, Deserialize, ToSchema)]
pub(crate) struct MessagePart {
    /// `text`.
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
}

impl MessagePart {
    fn text(&self) -> Result<&str, ApiError> {
        match (&*self.kind, &self.text) {
            ("text" | "input_text" | "output_text", Some(text)) => Ok(text),
            _ => Err(ApiError::field("messages", "only parts of type text can be judged")),
        }
    }
}

impl Message {
    /// The text.
    ///
    /// # Errors
    /// [`ApiError::Field`] for parts that are no text.
    pub(crate) fn text(&self) -> Result<String, ApiError> {
        let said = match &self.content {
            None => Vec::new(),
            Some(MessageContent::Text(text)) => vec![text.as_str()],
            Some(MessageContent::Parts(parts)) => {
                parts.iter().map(MessagePart::text).collect::<Result<_, _>>()?
            }
        };
        let calls = self.tool_calls.as_ref().filter(|calls| !calls.is_null()).map(Value::to_string);
        let texts = said.into_iter().chain(calls.as_deref());
        Ok(texts.collect::<Vec<_>>().join("\n"))
    }
}

/// A question to the judge.
pub(crate) struct Question {
    pub(crate) caller: Caller,
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
        request: ChatRequest,
    ) -> Result<Question, ApiError> {
        let served = app.served(&caller).await?;
        Question::under(app, &served, caller, request)
    }

    /// The same, with the policies that the caller may use known already.
    ///
    /// # Errors
    /// [`ApiError`] with the field at fault.
    pub(crate) fn under(
        app: &App,
        served: &Served,
        caller: Caller,
        request: ChatRequest,
    ) -> Result<Question, ApiError> {
        let settings = settings(&app.judging, &request)?;
        let (chosen, content) = pair(app, served, &request)?;
        check_format(request.response_format.as_ref(), &chosen.policy)?;
        let n_logprobs =
            request.logprobs.unwrap_or(false).then(|| request.top_logprobs.unwrap_or(0));
        Ok(Question {
            caller,
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
}

impl Question {
    /// Records the answer.
    ///
    /// # Errors
    /// [`ApiError::Store`].
    pub(crate) async fn record(&self, app: &App, verdict: &Verdict) -> Result<(), ApiError> {
        let source = "/v1/chat/completions";
        let Question { caller, chosen, content, settings, .. } = self;
        app.record(caller, source, chosen, content, settings, verdict).await.map(drop)
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
    let is_policy = |message: &&Message| matches!(&*message.role, "system" | "developer");
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
    let texts = request.messages.iter().filter(is_policy).map(Message::text);
    let text = texts.collect::<Result<Vec<_>, _>>()?.join("\n\n");
    let chosen = Chosen::inline(INLINE, &text).map_err(|error| {
        let problem = format!("the system or developer message is to be the policy: {error}");
        ApiError::field("messages", problem)
    })?;
    let items = request.messages.iter().filter(|message| !is_policy(message));
    Ok((chosen, content(items)?))
}

/// Messages as an item: one from a user is a text, with one reply an exchange, more are a conversation.
pub(crate) fn content<'a>(
    messages: impl Iterator<Item = &'a Message>,
) -> Result<Content, ApiError> {
    let turn = |message: &Message| {
        Ok(Turn { role: message.role.clone(), text: message.text()?, tool: None })
    };
    let turns = messages.map(turn).collect::<Result<Vec<_>, ApiError>>()?;
    let known = ["user", "assistant", "system", "developer", "tool", "function"];
    if let Some(at) = turns.iter().position(|turn| !known.contains(&turn.role.as_str())) {
        return Err(ApiError::field(format!("messages[{at}].role"), "no such role"));
    }
    let metadata = Vec::new();
    let content = match turns.as_slice() {
        [one] if one.role == "user" => Content::text(&one.text),
        [one, two] if one.role == "user" && two.role == "assistant" => {
            Content::Exchange { prompt: one.text.clone(), reply: two.text.clone(), metadata }
        }
        _ => Content::Conversation { messages: turns, metadata },
    };
    content.check().map_err(|error| ApiError::field("messages", error.to_string()))?;
    Ok(content)
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
        "the judge answers in the form of its policy only; leave response_format out, or send this schema: {}",
        own[0]
    );
    Err(ApiError::field("response_format", problem))
}
