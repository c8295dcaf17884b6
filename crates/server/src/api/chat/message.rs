//! Messages, and what of them is an item.

use policy::{Content, Turn};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::guard::said as said_in;

/// One message.
#[derive(Clone, Deserialize, ToSchema)]
pub(crate) struct Message {
    /// `system`, `developer`, `user`, `assistant` or `tool`.
    pub(crate) role: String,
    #[serde(default)]
    content: Option<MessageContent>,
    /// Calls of tools; judged field by field, their arguments as the tool will read them.
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
    /// The text of a part of type `refusal`.
    #[serde(default)]
    refusal: Option<String>,
}

impl MessagePart {
    pub(crate) fn text(&self) -> Result<&str, ApiError> {
        let kinds = ["text", "input_text", "output_text", "summary_text", "reasoning_text"];
        match (&*self.kind, &self.text, &self.refusal) {
            (kind, Some(text), _) if kinds.contains(&kind) => Ok(text),
            ("refusal", _, Some(refusal)) => Ok(refusal),
            _ => Err(ApiError::field("messages", "only parts of type text can be judged")),
        }
    }
}

impl Message {
    /// A message that says this.
    pub(crate) fn new(role: impl Into<String>, content: MessageContent) -> Message {
        Message { role: role.into(), content: Some(content), tool_calls: None }
    }

    /// A message that calls a function.
    pub(crate) fn calling(name: &str, arguments: &str) -> Message {
        let call = json!([{ "function": { "name": name, "arguments": arguments } }]);
        Message { role: "assistant".to_owned(), content: None, tool_calls: Some(call) }
    }

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
        let calls = said_in(&json!({ "tool_calls": self.tool_calls }));
        let calls = Some(calls.as_str()).filter(|calls| !calls.is_empty());
        Ok(said.into_iter().chain(calls).collect::<Vec<_>>().join("\n"))
    }
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
