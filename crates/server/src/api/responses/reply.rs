//! The judge's answer as a response.

use std::collections::BTreeMap;

use policy::{AnswerToken, Verdict};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::chat::{Question, Said, content, logprobs_of, now};
use super::new_id;
use super::request::ResponsesRequest;
use crate::error::ApiError;

/// A response, whole or in the making.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ResponseBody {
    pub(super) id: String,
    object: &'static str,
    /// Seconds since 1970.
    created_at: u64,
    /// `completed`; `incomplete` where the reasoning ended without a verdict; while it streams also `in_progress` and
    /// `failed`.
    status: &'static str,
    /// Why it failed.
    error: Option<ResponseFailure>,
    incomplete_details: Option<ResponseIncomplete>,
    model: String,
    pub(super) output: Vec<OutputItem>,
    usage: Option<ResponseUsage>,
    instructions: Option<String>,
    max_output_tokens: Option<usize>,
    metadata: BTreeMap<String, String>,
    previous_response_id: Option<String>,
    reasoning: ReasoningUsed,
    temperature: f32,
    text: TextForm,
    top_logprobs: usize,
    top_p: f32,
    /// Nothing is kept.
    store: bool,
    background: bool,
    parallel_tool_calls: bool,
    tool_choice: &'static str,
    /// None: the judge calls nothing.
    #[schema(value_type = Vec<Object>)]
    tools: Vec<Value>,
    truncation: &'static str,
}

/// Why a response failed.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct ResponseFailure {
    code: &'static str,
    message: String,
}

/// Why a response is incomplete.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct ResponseIncomplete {
    reason: &'static str,
}

/// How the judge thought.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
struct ReasoningUsed {
    effort: Option<String>,
    /// None: the reasoning is given as it is.
    summary: Option<String>,
}

/// The form of the answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct TextForm {
    #[schema(value_type = Object)]
    format: Value,
}

/// One item of the output.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum OutputItem {
    /// How the judge got there; for reviewers, and it may repeat the item.
    Reasoning {
        id: String,
        status: &'static str,
        /// Empty: nothing is summarised.
        #[schema(value_type = Vec<Object>)]
        summary: Vec<Value>,
        content: Vec<OutputPart>,
    },
    /// The verdict.
    Message { id: String, status: &'static str, role: &'static str, content: Vec<OutputPart> },
}

/// A part of an item.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum OutputPart {
    /// Thought.
    ReasoningText { text: String },
    /// The verdict's JSON.
    OutputText {
        text: String,
        #[schema(value_type = Vec<Object>)]
        annotations: Vec<Value>,
        /// Probabilities of the text's tokens, where asked for and known.
        #[schema(value_type = Vec<Object>)]
        logprobs: Vec<Value>,
    },
}

/// Tokens, as this shape counts them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct ResponseUsage {
    input_tokens: usize,
    #[schema(value_type = Object)]
    input_tokens_details: Value,
    output_tokens: usize,
    #[schema(value_type = Object)]
    output_tokens_details: Value,
    total_tokens: usize,
}

impl ResponseUsage {
    /// Of what was generated, all but the `n_answer` tokens of the verdict's JSON is reasoning; with 0, from judges
    /// that give it whole, nobody knows.
    fn of(verdict: &Verdict, n_answer: usize) -> ResponseUsage {
        let usage = &verdict.usage;
        let known = n_answer > 0 || verdict.outcome.is_violation().is_none();
        let n_thought = if known { usage.generated_tokens.saturating_sub(n_answer) } else { 0 };
        ResponseUsage {
            input_tokens: usage.prompt_tokens,
            input_tokens_details: json!({ "cached_tokens": usage.cached_tokens, "cache_write_tokens": 0 }),
            output_tokens: usage.generated_tokens,
            output_tokens_details: json!({ "reasoning_tokens": n_thought }),
            total_tokens: usage.prompt_tokens + usage.generated_tokens,
        }
    }
}

impl ResponseBody {
    /// A response that has not been asked for yet.
    ///
    /// # Errors
    /// [`ApiError::Random`].
    pub(super) fn begun(request: &ResponsesRequest) -> Result<ResponseBody, ApiError> {
        Ok(ResponseBody {
            id: new_id("resp")?,
            object: "response",
            created_at: now(),
            status: "in_progress",
            error: None,
            incomplete_details: None,
            model: request.model.clone(),
            output: Vec::new(),
            usage: None,
            instructions: request.instructions.clone(),
            max_output_tokens: request.max_output_tokens,
            metadata: request.metadata.clone().unwrap_or_default(),
            previous_response_id: None,
            reasoning: ReasoningUsed::default(),
            temperature: 0.0,
            text: TextForm { format: request.format() },
            top_logprobs: request.top_logprobs.unwrap_or(0),
            top_p: 1.0,
            store: false,
            background: false,
            parallel_tool_calls: false,
            tool_choice: "none",
            tools: Vec::new(),
            truncation: "disabled",
        })
    }

    /// How the question was understood.
    pub(super) fn answers(&mut self, question: &Question) {
        let settings = &question.settings;
        self.reasoning.effort = Some(settings.effort_for(&question.chosen.policy).to_string());
        self.temperature = settings.temperature;
        self.top_p = settings.top_p;
    }

    /// The end of a response that came in one piece.
    pub(super) fn end(&mut self, question: &Question, verdict: &Verdict, said: &Said) {
        if !verdict.reasoning.is_empty() {
            let text = verdict.reasoning.clone();
            self.output.push(thought(format!("rs_{}", self.number()), "completed", text));
        }
        if verdict.outcome.is_violation().is_some() {
            let heard = said.text();
            let is_heard = !heard.is_empty();
            let text = if is_heard { heard } else { content(verdict) };
            let logprobs = question.n_logprobs.filter(|_| is_heard);
            let logprobs = logprobs.map_or_else(Vec::new, |n| probabilities(said.tokens(), n));
            let part = answer(text, logprobs);
            self.output.push(message(format!("msg_{}", self.number()), "completed", vec![part]));
        }
        self.finish(verdict, said.tokens().len());
    }

    /// Status and usage of a response whose output is there.
    pub(super) fn finish(&mut self, verdict: &Verdict, n_answer: usize) {
        let is_whole = verdict.outcome.is_violation().is_some();
        self.status = if is_whole { "completed" } else { "incomplete" };
        self.incomplete_details =
            (!is_whole).then_some(ResponseIncomplete { reason: "max_output_tokens" });
        self.usage = Some(ResponseUsage::of(verdict, n_answer));
    }

    /// A response that ended without an answer.
    pub(super) fn fail(&mut self, error: &ApiError) {
        self.status = "failed";
        self.error = Some(ResponseFailure { code: "server_error", message: error.to_string() });
    }

    /// The event that tells of the end.
    pub(super) fn last_event(&self) -> &'static str {
        match self.status {
            "completed" => "response.completed",
            "failed" => "response.failed",
            _ => "response.incomplete",
        }
    }

    /// What the ids of its items share with its own.
    pub(super) fn number(&self) -> &str {
        self.id.trim_start_matches("resp_")
    }
}

/// An item of thought.
pub(super) fn thought(id: String, status: &'static str, text: String) -> OutputItem {
    let content = match text.is_empty() {
        true => Vec::new(),
        false => vec![OutputPart::ReasoningText { text }],
    };
    OutputItem::Reasoning { id, status, summary: Vec::new(), content }
}

/// The item with the verdict.
pub(super) fn message(id: String, status: &'static str, content: Vec<OutputPart>) -> OutputItem {
    OutputItem::Message { id, status, role: "assistant", content }
}

/// The verdict's text.
pub(super) fn answer(text: String, logprobs: Vec<Value>) -> OutputPart {
    OutputPart::OutputText { text, annotations: Vec::new(), logprobs }
}

/// Probabilities in this shape, each token with at most `n` alternatives.
pub(super) fn probabilities(tokens: &[AnswerToken], n: usize) -> Vec<Value> {
    match logprobs_of(tokens, n)["content"].take() {
        Value::Array(tokens) => tokens,
        _ => Vec::new(),
    }
}
