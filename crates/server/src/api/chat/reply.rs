//! The judge's reply as a chat completion, whole or in chunks.

use std::time::{SystemTime, UNIX_EPOCH};

use policy::{AnswerToken, Confidence, Heard, Outcome, ScoreMethod, Verdict};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use utoipa::ToSchema;

use super::request::Question;

/// A reply in one piece.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Completion {
    id: String,
    object: &'static str,
    created: u64,
    model: String,
    choices: Vec<Choice>,
    usage: ChatUsage,
}

/// The one answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Choice {
    index: u32,
    message: Answer,
    /// Probabilities of the content's tokens, where asked for and known.
    #[schema(value_type = Option<Object>)]
    logprobs: Option<Value>,
    /// `stop`, or `length` where the reply ended before its verdict.
    finish_reason: &'static str,
}

/// What the judge says.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Answer {
    role: &'static str,
    /// The verdict's JSON.
    content: String,
    /// How the judge got there.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<String>,
    refusal: Option<String>,
}

/// Tokens, as OpenAI counts them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ChatUsage {
    prompt_tokens: usize,
    completion_tokens: usize,
    total_tokens: usize,
    #[schema(value_type = Object)]
    prompt_tokens_details: Value,
}

impl ChatUsage {
    pub(crate) fn of(verdict: &Verdict) -> ChatUsage {
        let usage = &verdict.usage;
        ChatUsage {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.generated_tokens,
            total_tokens: usage.prompt_tokens + usage.generated_tokens,
            prompt_tokens_details: json!({ "cached_tokens": usage.cached_tokens }),
        }
    }
}

/// The tokens that were heard of the verdict's JSON; none from judges that give it whole.
#[derive(Debug, Default)]
pub(crate) struct Said(Vec<AnswerToken>);

impl Said {
    pub(crate) fn collect(mut heard: mpsc::UnboundedReceiver<Heard>) -> Said {
        let mut said = Said::default();
        while let Ok(heard) = heard.try_recv() {
            if let Heard::Answer(token) = heard {
                said.0.push(token);
            }
        }
        said
    }

    /// The tokens.
    pub(crate) fn tokens(&self) -> &[AnswerToken] {
        &self.0
    }

    pub(crate) fn text(&self) -> String {
        self.0.iter().map(|token| token.text.as_str()).collect()
    }
}

impl Completion {
    /// The reply to a question that was asked before: nothing was heard of it but its verdict.
    pub(crate) fn later(id: String, model: &str, reasoning: bool, verdict: &Verdict) -> Completion {
        Completion::of(id, model, reasoning, verdict, content(verdict))
    }

    fn of(
        id: String,
        model: &str,
        reasoning: bool,
        verdict: &Verdict,
        content: String,
    ) -> Completion {
        let message = Answer {
            role: "assistant",
            content,
            reasoning: reasoning.then(|| verdict.reasoning.clone()),
            refusal: None,
        };
        let choice = Choice { index: 0, message, logprobs: None, finish_reason: finish(verdict) };
        Completion {
            id,
            object: "chat.completion",
            created: now(),
            model: model.to_owned(),
            choices: vec![choice],
            usage: ChatUsage::of(verdict),
        }
    }

    pub(crate) fn new(
        id: String,
        question: &Question,
        verdict: &Verdict,
        said: &Said,
    ) -> Completion {
        let text = said.text();
        let is_heard = !text.is_empty() && verdict.outcome.is_violation().is_some();
        let content = if is_heard { text } else { content(verdict) };
        let logprobs = question.n_logprobs.filter(|_| is_heard);
        let Question { model, include_reasoning, .. } = question;
        let mut completion = Completion::of(id, model, *include_reasoning, verdict, content);
        completion.choices[0].logprobs = logprobs.map(|n| logprobs_of(&said.0, n));
        completion
    }
}

/// Why a reply with this verdict ended.
pub(crate) fn finish(verdict: &Verdict) -> &'static str {
    if verdict.outcome.is_violation().is_some() { "stop" } else { "length" }
}

/// The verdict in the form that the policy's schema asks for, as far as a direct one goes; nothing where there is none.
pub(crate) fn content(verdict: &Verdict) -> String {
    #[derive(Serialize)]
    struct Reply<'a> {
        violation: u8,
        label: &'a str,
        rule_ids: &'a [String],
        confidence: &'static str,
        rationale: &'a str,
    }
    let violation = match verdict.outcome {
        Outcome::Violation => 1,
        Outcome::Clear => 0,
        Outcome::Undetermined(_) => return String::new(),
    };
    if verdict.score_method == ScoreMethod::Direct {
        return json!({ "violation": violation }).to_string();
    }
    let reply = Reply {
        violation,
        label: verdict.label.as_deref().unwrap_or_default(),
        rule_ids: &verdict.rule_ids,
        confidence: verdict.confidence.map_or("medium", Confidence::name),
        rationale: verdict.rationale.as_deref().unwrap_or_default(),
    };
    serde_json::to_string(&reply).expect("a reply is plain data")
}

/// Probabilities in OpenAI's form, each token with at most `n` alternatives.
pub(crate) fn logprobs_of(tokens: &[AnswerToken], n: usize) -> Value {
    let one = |text: &str, logprob: f32| json!({ "token": text, "logprob": logprob, "bytes": text.as_bytes() });
    let token = |token: &AnswerToken| {
        let mut value = one(&token.text, token.logprob);
        let mut choices: Vec<&(String, f32)> = token.choices.iter().collect();
        choices.sort_by(|a, b| b.1.total_cmp(&a.1));
        let top = choices.into_iter().take(n).map(|(text, logprob)| one(text, *logprob));
        value["top_logprobs"] = top.collect();
        value
    };
    json!({ "content": tokens.iter().map(token).collect::<Vec<_>>(), "refusal": null })
}

/// A piece of a reply; `delta` is what is new.
pub(crate) fn chunk(id: &str, created: u64, model: &str, choices: Value) -> Value {
    json!({
        "id": id, "object": "chat.completion.chunk", "created": created, "model": model, "choices": choices
    })
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
