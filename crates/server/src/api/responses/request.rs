//! A request in the shape of Responses, read as the chat request that asks the same.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::chat::{ChatRequest, Message, MessageContent, MessagePart};
use crate::error::ApiError;

/// The word of `include` that asks for probabilities.
const LOGPROBS: &str = "message.output_text.logprobs";

/// What the judge is asked. Fields that it has no use for are passed over.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ResponsesRequest {
    /// `safeguard`, or `safeguard/` and a policy's name.
    #[schema(example = "safeguard")]
    pub(super) model: String,
    input: ResponsesInput,
    /// The policy, or the first part of it.
    #[serde(default)]
    pub(super) instructions: Option<String>,
    /// Whether the reply comes in pieces.
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    reasoning: Option<ReasoningAsked>,
    #[serde(default)]
    text: Option<TextAsked>,
    /// `message.output_text.logprobs` for the probabilities of the verdict's tokens, where the judge knows them.
    #[serde(default)]
    include: Option<Vec<String>>,
    /// Most alternatives of each token, up to 20.
    #[serde(default)]
    pub(super) top_logprobs: Option<usize>,
    /// Most tokens of reasoning; the verdict has room of its own.
    #[serde(default)]
    pub(super) max_output_tokens: Option<usize>,
    #[serde(default)]
    temperature: Option<f32>,
    #[serde(default)]
    top_p: Option<f32>,
    /// Repeats a verdict.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    seed: Option<i64>,
    /// Sent back as it is.
    #[serde(default)]
    pub(super) metadata: Option<BTreeMap<String, String>>,
    /// Refused where true: nothing runs behind a caller's back here.
    #[serde(default)]
    background: Option<bool>,
    /// Refused: no response is kept to go on from.
    #[serde(default)]
    previous_response_id: Option<String>,
    /// Refused, for the same reason.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    conversation: Option<Value>,
    /// Refused: there are no prompts to refer to.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    prompt: Option<Value>,
}

/// What is judged.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
enum ResponsesInput {
    /// A user's message.
    Text(String),
    /// Messages, calls of functions and their outputs.
    Items(Vec<ResponsesItem>),
}

/// One item of a conversation.
#[derive(Deserialize, ToSchema)]
struct ResponsesItem {
    /// `message`, `function_call`, `function_call_output`, their `custom_tool` twins, or `reasoning`; others are
    /// refused.
    #[serde(rename = "type", default = "message")]
    kind: String,
    /// Of a message: `system`, `developer`, `user` or `assistant`.
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    content: Option<MessageContent>,
    /// Of reasoning.
    #[serde(default)]
    summary: Option<Vec<MessagePart>>,
    /// Of a call: the function's name.
    #[serde(default)]
    name: Option<String>,
    /// Of a call.
    #[serde(default)]
    arguments: Option<String>,
    /// Of a custom tool's call.
    #[serde(default)]
    input: Option<String>,
    /// Of a call's output.
    #[serde(default)]
    output: Option<MessageContent>,
}

fn message() -> String {
    "message".to_owned()
}

/// How long to think.
#[derive(Deserialize, ToSchema)]
struct ReasoningAsked {
    /// `low`, `medium` or `high`; words of other models mean the nearest.
    #[serde(default)]
    effort: Option<String>,
}

/// The form of the answer.
#[derive(Deserialize, ToSchema)]
struct TextAsked {
    /// `text`, `json_object`, or `json_schema` with the very schema of the policy: other forms are refused.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    format: Option<Value>,
}

impl ResponsesRequest {
    /// The form that was asked for, as it is told back.
    pub(super) fn format(&self) -> Value {
        let format = self.text.as_ref().and_then(|text| text.format.clone());
        format.unwrap_or_else(|| json!({ "type": "text" }))
    }

    /// The chat request that asks the same.
    ///
    /// # Errors
    /// [`ApiError::Field`] for items that cannot be judged, and for what would need responses to be kept.
    pub(super) fn into_chat(self) -> Result<ChatRequest, ApiError> {
        self.check()?;
        let text = |text| MessageContent::Text(text);
        let instructions = self.instructions.map(|it| Message::new("developer", text(it)));
        let input = match self.input {
            ResponsesInput::Text(input) => vec![Message::new("user", text(input))],
            ResponsesInput::Items(items) => {
                let read = |(at, item): (usize, ResponsesItem)| item.message(at);
                items.into_iter().enumerate().map(read).collect::<Result<_, _>>()?
            }
        };
        let asks = |word: &str| self.include.iter().flatten().any(|it| it == word);
        Ok(ChatRequest {
            model: self.model,
            messages: instructions.into_iter().chain(input).collect(),
            stream: self.stream,
            reasoning_effort: self.reasoning.and_then(|it| it.effort),
            max_completion_tokens: self.max_output_tokens,
            temperature: self.temperature,
            top_p: self.top_p,
            seed: self.seed,
            logprobs: Some(asks(LOGPROBS)),
            top_logprobs: self.top_logprobs,
            response_format: self.text.and_then(|it| it.format).map(chat_format),
            ..ChatRequest::default()
        })
    }

    fn check(&self) -> Result<(), ApiError> {
        let is_there = |value: &Option<Value>| value.as_ref().is_some_and(|it| !it.is_null());
        for (field, is_asked, problem) in [
            ("background", self.background == Some(true), "this service answers while you wait"),
            (
                "previous_response_id",
                self.previous_response_id.is_some(),
                "no response is kept; send the whole conversation as input",
            ),
            (
                "conversation",
                is_there(&self.conversation),
                "no conversation is kept; send the whole of it as input",
            ),
            ("prompt", is_there(&self.prompt), "there are no prompts to refer to; send the text"),
        ] {
            if is_asked {
                return Err(ApiError::field(field, problem));
            }
        }
        Ok(())
    }
}

impl ResponsesItem {
    /// The message that says the same; `at`: the item's place in `input`.
    fn message(self, at: usize) -> Result<Message, ApiError> {
        let missing = |field: &str| ApiError::field(format!("input[{at}].{field}"), "is missing");
        match &*self.kind {
            "message" => {
                let role = self.role.ok_or_else(|| missing("role"))?;
                Ok(Message::new(role, self.content.ok_or_else(|| missing("content"))?))
            }
            "function_call" | "custom_tool_call" => {
                let name = self.name.ok_or_else(|| missing("name"))?;
                let arguments =
                    self.arguments.or(self.input).ok_or_else(|| missing("arguments"))?;
                Ok(Message::calling(&name, &arguments))
            }
            "function_call_output" | "custom_tool_call_output" => {
                Ok(Message::new("tool", self.output.ok_or_else(|| missing("output"))?))
            }
            "reasoning" => {
                let MessageContent::Parts(mut said) =
                    self.content.unwrap_or(MessageContent::Parts(Vec::new()))
                else {
                    return Err(ApiError::field(format!("input[{at}].content"), "must be parts"));
                };
                said.extend(self.summary.into_iter().flatten());
                if said.is_empty() {
                    let problem = "reasoning without text cannot be judged";
                    return Err(ApiError::field(format!("input[{at}]"), problem));
                }
                Ok(Message::new("assistant", MessageContent::Parts(said)))
            }
            _ => {
                let problem =
                    "only messages, reasoning, calls of functions and their outputs can be judged";
                Err(ApiError::field(format!("input[{at}].type"), problem))
            }
        }
    }
}

/// The form as chat requests write it.
fn chat_format(format: Value) -> Value {
    match format["type"].as_str() {
        Some("json_schema") => json!({ "type": "json_schema", "json_schema": format }),
        _ => format,
    }
}

/// An error about a field of the chat request, with the field's name in this one.
pub(super) fn in_these_words(error: ApiError) -> ApiError {
    let ApiError::Field { field, problem } = error else { return error };
    let field = match &*field {
        "reasoning_effort" => "reasoning.effort".to_owned(),
        "response_format" => "text.format".to_owned(),
        // With instructions before it, the place of an item is another here.
        field if field.starts_with("messages") => "input".to_owned(),
        _ => field,
    };
    ApiError::Field { field, problem }
}
