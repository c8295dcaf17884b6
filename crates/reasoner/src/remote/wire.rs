//! The bytes of chat completions: what is sent, and the parts of an answer that matter here.

use policy::Policy;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::RemoteError;
use crate::schema::reply_schema;

/// The most that OpenAI's API allows; 0 and 1 are nearly always among the first few.
pub(super) const TOP_LOGPROBS: u8 = 20;

#[derive(Debug, Serialize)]
pub(super) struct Request<'a> {
    pub(super) model: &'a str,
    pub(super) messages: [Message<'a>; 2],
    pub(super) temperature: f32,
    pub(super) top_p: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seed: Option<u64>,
    pub(super) max_tokens: usize,
    pub(super) reasoning_effort: &'static str,
    pub(super) logprobs: bool,
    pub(super) top_logprobs: u8,
    pub(super) stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response_format: Option<ResponseFormat>,
}

#[derive(Debug, Serialize)]
pub(super) struct Message<'a> {
    pub(super) role: &'static str,
    pub(super) content: &'a str,
}

#[derive(Debug, Serialize)]
pub(super) struct ResponseFormat {
    #[serde(rename = "type")]
    kind: &'static str,
    json_schema: JsonSchema,
}

#[derive(Debug, Serialize)]
struct JsonSchema {
    name: &'static str,
    strict: bool,
    /// As written in the prompt, key order included: `violation` must come first.
    schema: Box<RawValue>,
}

impl ResponseFormat {
    pub(super) fn verdict(policy: &Policy) -> ResponseFormat {
        let schema =
            RawValue::from_string(reply_schema(policy)).expect("the schema is JSON, by test");
        ResponseFormat {
            kind: "json_schema",
            json_schema: JsonSchema { name: "verdict", strict: true, schema },
        }
    }
}

/// `GET /v1/models`
#[derive(Debug, Deserialize)]
pub(super) struct Listing {
    data: Vec<Listed>,
    #[serde(skip)]
    pub(super) host: String,
}

#[derive(Debug, Deserialize)]
struct Listed {
    id: String,
    owned_by: Option<String>,
}

impl Listing {
    pub(super) fn first(&self) -> Option<String> {
        self.data.first().map(|model| model.id.clone())
    }

    pub(super) fn owner(&self) -> Option<&str> {
        self.data.first()?.owned_by.as_deref()
    }

    pub(super) fn check(&self, model: String) -> Result<String, RemoteError> {
        if self.data.iter().any(|listed| listed.id == model) {
            return Ok(model);
        }
        let known = self
            .data
            .iter()
            .take(8)
            .map(|listed| listed.id.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        Err(RemoteError::UnknownModel { host: self.host.clone(), model, known })
    }
}

/// An answer; every field may be missing.
#[derive(Debug, Deserialize)]
pub(super) struct Completion {
    #[serde(default)]
    pub(super) choices: Vec<Choice>,
    pub(super) usage: Option<Tokens>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    pub(super) message: Said,
    pub(super) finish_reason: Option<String>,
    pub(super) logprobs: Option<LogProbs>,
}

/// The thought has three names, by server and version.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Said {
    pub(super) content: Option<String>,
    pub(super) refusal: Option<String>,
    pub(super) reasoning: Option<String>,
    pub(super) reasoning_content: Option<String>,
    pub(super) thinking: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct LogProbs {
    pub(super) content: Option<Vec<TokenProb>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct TokenProb {
    #[serde(flatten)]
    pub(super) own: Prob,
    #[serde(default)]
    pub(super) top_logprobs: Vec<Prob>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Prob {
    pub(super) token: String,
    pub(super) logprob: f64,
    /// The token's bytes where its text is none by itself.
    #[serde(default)]
    pub(super) bytes: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Tokens {
    #[serde(default)]
    pub(super) prompt_tokens: usize,
    #[serde(default)]
    pub(super) completion_tokens: usize,
    pub(super) prompt_tokens_details: Option<PromptTokens>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct PromptTokens {
    pub(super) cached_tokens: Option<usize>,
}
