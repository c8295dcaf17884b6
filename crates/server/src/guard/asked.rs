//! What a request to another chat model says, field by field, for all of it goes on to the model.

use std::sync::Arc;

use policy::{Content, Turn};
use serde_json::{Value, json};

use super::said::Said;
use crate::api::Message;
use crate::error::ApiError;
use crate::wire::parse;

/// Turns as one item.
///
/// # Errors
/// [`ApiError::Field`] where there is no text.
pub(super) fn conversation(messages: Vec<Turn>) -> Result<Content, ApiError> {
    let content = Content::Conversation { messages, metadata: Vec::new() };
    match content.check() {
        Ok(()) => Ok(content),
        Err(error) => Err(ApiError::field("messages", error.to_string())),
    }
}

/// Fields of a request in which the model reads nothing, or which are judged as messages.
const WITHOUT_TEXT: [&str; 14] = [
    "logit_bias",
    "messages",
    "metadata",
    "modalities",
    "model",
    "prompt_cache_key",
    "reasoning_effort",
    "safety_identifier",
    "service_tier",
    "stop",
    "stream_options",
    "tool_choice",
    "user",
    "verbosity",
];

/// All that the model is to read: tools and the like as a turn before the messages.
///
/// # Errors
/// [`ApiError::Field`] for parts that are no text.
pub(crate) fn turns(body: &Value, messages: &[Message]) -> Result<Vec<Turn>, ApiError> {
    let mut beside = Said::default();
    for (name, value) in body.as_object().into_iter().flatten() {
        let is_plain = value.is_number() || value.is_boolean() || bare_format(value);
        if !is_plain && !WITHOUT_TEXT.contains(&name.as_str()) {
            beside.push(name, value);
        }
    }
    let text = beside.whole();
    let beside = Turn { role: "system".to_owned(), text, tool: None };
    let beside = (!beside.text.is_empty()).then_some(Ok(beside));
    let raw = body["messages"].as_array().into_iter().flatten();
    let turns = messages.iter().zip(raw).map(|(message, raw)| turn(message, raw));
    beside.into_iter().chain(turns).collect()
}

/// A `response_format` that says nothing.
fn bare_format(value: &Value) -> bool {
    *value == json!({ "type": "text" }) || *value == json!({ "type": "json_object" })
}

/// A message with all of its fields, for all of them go on to the model.
fn turn(message: &Message, raw: &Value) -> Result<Turn, ApiError> {
    let mut beside = Said::default();
    let parts = raw["content"].as_array().into_iter().flatten().filter_map(Value::as_object);
    let of_parts = parts.flatten().filter(|(name, _)| !matches!(name.as_str(), "type" | "text"));
    let is_beside = |name: &str| !matches!(name, "role" | "content" | "tool_calls");
    let of_message = raw.as_object().into_iter().flatten().filter(|(name, _)| is_beside(name));
    for (name, value) in of_message.chain(of_parts) {
        beside.push(name, value);
    }
    let (text, beside) = (message.text()?, beside.whole());
    let texts = [text, beside].into_iter().filter(|text| !text.is_empty());
    let text = texts.collect::<Vec<_>>().join("\n");
    Ok(Turn { role: message.role.clone(), text, tool: None })
}

/// What a request to a guarded model asks to be judged.
///
/// # Errors
/// [`ApiError`] for a body that is none, or has parts that cannot be judged.
pub(crate) fn read(body: &[u8]) -> Result<Vec<Arc<Content>>, ApiError> {
    let body: Value = parse(body)?;
    let content = turns(&body, &messages(&body)?).and_then(conversation)?;
    Ok(vec![Arc::new(content)])
}

/// The messages of a request.
///
/// # Errors
/// [`ApiError::Field`].
pub(super) fn messages(body: &Value) -> Result<Vec<Message>, ApiError> {
    serde_json::from_value(body["messages"].clone())
        .map_err(|_| ApiError::field("messages", "it cannot be read"))
}

/// All that a message says, whichever fields it is in.
pub(crate) fn said(message: &Value) -> String {
    let mut said = Said::default();
    let fields = message.as_object().into_iter().flatten();
    fields.filter(|(name, _)| *name != "role").for_each(|(name, value)| said.push(name, value));
    said.whole()
}
