//! The bytes of chat completions: what is sent, and the parts of an answer that matter here.

use policy::{Effort, JudgeSettings, Policy, Usage};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::extras::{Extra, Extras};
use crate::local::FINAL_TOKENS;
use crate::prompt::Prompt;
use crate::schema::{bound_schema, reply_schema};

/// Most tokens of analysis, unless the caller says otherwise. A server cannot be made to give its verdict at the
/// cap, so the cap is wide at every effort.
const MAX_ANALYSIS: usize = 8_192;
/// The context of the models; servers refuse numbers beyond their own.
const CONTEXT_LEN: usize = 131_072;
/// 0 and 1 are nearly always among the first few. Many servers allow 5, some 20, and each token's list is sent.
const TOP_LOGPROBS: u8 = 5;
/// Seeds of 64 bits are not JSON numbers everywhere, nor those of 32 bits positive ones.
const SEED_MASK: u64 = 0x7fff_ffff;

#[derive(Debug, Serialize)]
pub(super) struct Request<'a> {
    model: &'a str,
    messages: [Message<'a>; 2],
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<Effort>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<bool>,
    /// Always beside `logprobs`: older servers fail without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<ResponseFormat>,
}

#[derive(Debug, Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Debug, Serialize)]
struct ResponseFormat {
    #[serde(rename = "type")]
    kind: &'static str,
    json_schema: JsonSchema,
}

#[derive(Debug, Serialize)]
struct JsonSchema {
    name: &'static str,
    strict: bool,
    /// Key order included: `violation` must come first.
    schema: Box<RawValue>,
}

impl<'a> Request<'a> {
    pub(super) fn new(
        model: &'a str,
        policy: &Policy,
        prompt: &'a Prompt,
        settings: &JudgeSettings,
        extras: Extras,
    ) -> Request<'a> {
        let max_analysis = settings.max_analysis_tokens.unwrap_or(MAX_ANALYSIS);
        let max_tokens = max_analysis.saturating_add(FINAL_TOKENS).min(CONTEXT_LEN);
        let policy_role = if extras.has(Extra::DeveloperRole) { "developer" } else { "system" };
        let has_logprobs = extras.has(Extra::Logprobs);
        Request {
            model,
            messages: [
                Message { role: policy_role, content: &prompt.developer },
                Message { role: "user", content: &prompt.user },
            ],
            stream: false,
            temperature: extras.has(Extra::Temperature).then_some(settings.temperature),
            top_p: extras.has(Extra::TopP).then_some(settings.top_p),
            seed: settings.seed.filter(|_| extras.has(Extra::Seed)).map(|seed| seed & SEED_MASK),
            max_tokens: extras.has(Extra::MaxTokens).then_some(max_tokens),
            max_completion_tokens: extras.has(Extra::MaxCompletionTokens).then_some(max_tokens),
            reasoning_effort: extras.has(Extra::Effort).then(|| settings.effort_for(policy)),
            logprobs: has_logprobs.then_some(true),
            top_logprobs: has_logprobs.then_some(TOP_LOGPROBS),
            response_format: extras
                .has(Extra::ResponseFormat)
                .then(|| ResponseFormat::verdict(policy, extras.has(Extra::Sides))),
        }
    }
}

impl ResponseFormat {
    fn verdict(policy: &Policy, binds_sides: bool) -> ResponseFormat {
        let schema = if binds_sides { bound_schema(policy) } else { reply_schema(policy) };
        let schema = RawValue::from_string(schema).expect("both schemas are JSON, by test");
        ResponseFormat {
            kind: "json_schema",
            json_schema: JsonSchema { name: "verdict", strict: true, schema },
        }
    }
}

/// An answer. Any field may be missing or of another type; what cannot be read is as good as missing.
#[derive(Debug, Deserialize)]
pub(super) struct Completion {
    #[serde(default)]
    pub(super) choices: Vec<Choice>,
    /// Some gateways fail with status 200.
    #[serde(default)]
    pub(super) error: Value,
    usage: Option<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    #[serde(default)]
    pub(super) message: Said,
    #[serde(default)]
    pub(super) error: Value,
    #[serde(default)]
    pub(super) finish_reason: Value,
    logprobs: Option<Box<RawValue>>,
}

/// The thought has three names, by server and version.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Said {
    pub(super) content: Value,
    pub(super) refusal: Value,
    pub(super) reasoning: Value,
    pub(super) reasoning_content: Value,
    pub(super) thinking: Value,
}

/// A token with its log-probability, and those that stood beside it.
#[derive(Debug, Deserialize)]
pub(super) struct TokenProb {
    pub(super) token: String,
    pub(super) logprob: f64,
    /// The token's bytes where its text is none by itself.
    pub(super) bytes: Option<Vec<u8>>,
    pub(super) top_logprobs: Option<Vec<TokenProb>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LogProbs {
    content: Vec<TokenProb>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tokens {
    prompt_tokens: usize,
    completion_tokens: usize,
    prompt_tokens_details: Option<PromptTokens>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PromptTokens {
    cached_tokens: Option<usize>,
}

impl Completion {
    /// Tokens as the server counted them; zeros where it did not.
    pub(super) fn usage(&self) -> Usage {
        let tokens: Tokens = read(self.usage.as_deref());
        Usage {
            prompt_tokens: tokens.prompt_tokens,
            cached_tokens: tokens
                .prompt_tokens_details
                .and_then(|details| details.cached_tokens)
                .unwrap_or_default(),
            generated_tokens: tokens.completion_tokens,
            seconds: 0.0,
        }
    }
}

impl Choice {
    /// The tokens of the reply, or of thought and reply; none where the server gives none.
    pub(super) fn token_probs(&self) -> Vec<TokenProb> {
        read::<LogProbs>(self.logprobs.as_deref()).content
    }
}

fn read<'a, T: Deserialize<'a> + Default>(raw: Option<&'a RawValue>) -> T {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}
