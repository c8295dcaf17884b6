//! Request lines of OpenAI's batch files: what in them is to be judged.

use policy::{Content, Turn};
use serde_json::{Map, Value};

use super::line::{Item, LineError, checked};

/// The items of `{"custom_id","url","body"}`.
pub(super) fn items(mut object: Map<String, Value>) -> Result<Vec<Item>, LineError> {
    let id = match object.get("custom_id") {
        Some(Value::String(id)) if !id.is_empty() => id.clone(),
        _ => return Err(LineError::NoId),
    };
    let body = object.remove("body").unwrap_or_default();
    let url = object.get("url").and_then(Value::as_str).unwrap_or_default();
    let contents = match url {
        "/v1/moderations" => moderation(&body["input"])?,
        "/v1/chat/completions" => vec![conversation(&body["messages"])?],
        "/v1/responses" => vec![response(&body["input"])?],
        other => return Err(LineError::Unsupported { what: format!("a request to {other:?}") }),
    };
    if let [_] = contents.as_slice() {
        return Ok(contents.into_iter().map(|content| Item { id: id.clone(), content }).collect());
    }
    let numbered = contents.into_iter().enumerate();
    Ok(numbered.map(|(at, content)| Item { id: format!("{id}/{at}"), content }).collect())
}

/// A string is one item, a list of strings is many, a list of parts is one.
fn moderation(input: &Value) -> Result<Vec<Content>, LineError> {
    match input {
        Value::Array(parts) if parts.iter().all(Value::is_string) && !parts.is_empty() => {
            parts.iter().map(|part| checked(Content::text(text(part)?))).collect()
        }
        other => Ok(vec![checked(Content::text(text(other)?))?]),
    }
}

fn response(input: &Value) -> Result<Content, LineError> {
    if is_chat(input) { conversation(input) } else { checked(Content::text(text(input)?)) }
}

fn conversation(messages: &Value) -> Result<Content, LineError> {
    checked(Content::Conversation { messages: turns(messages)?, metadata: Vec::new() })
}

/// Whether these are messages with a role and OpenAI's `content`.
pub(super) fn is_chat(messages: &Value) -> bool {
    let is_message = |value: &Value| {
        value["role"].is_string()
            && (value.get("content").is_some() || value.get("tool_calls").is_some())
    };
    messages
        .as_array()
        .is_some_and(|messages| !messages.is_empty() && messages.iter().all(is_message))
}

/// The turns of chat messages; each tool call is a turn of its own.
pub(super) fn turns(messages: &Value) -> Result<Vec<Turn>, LineError> {
    let mut turns = Vec::new();
    for message in messages.as_array().ok_or(LineError::NoContent)? {
        let role = message["role"].as_str().ok_or(LineError::NoContent)?;
        if !message["content"].is_null() {
            let tool =
                (role == "tool").then(|| message["name"].as_str().unwrap_or("tool").to_owned());
            turns.push(Turn { role: role.to_owned(), text: text(&message["content"])?, tool });
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let function = &call["function"];
            turns.push(Turn {
                role: role.to_owned(),
                text: function["arguments"].as_str().unwrap_or_default().to_owned(),
                tool: Some(function["name"].as_str().unwrap_or("tool").to_owned()),
            });
        }
    }
    Ok(turns)
}

/// A string, or the texts of parts, one a line.
fn text(value: &Value) -> Result<String, LineError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Array(parts) if !parts.is_empty() => {
            let texts: Result<Vec<&str>, LineError> = parts.iter().map(part).collect();
            Ok(texts?.join("\n"))
        }
        _ => Err(LineError::NoContent),
    }
}

fn part(part: &Value) -> Result<&str, LineError> {
    match part["type"].as_str() {
        Some("text" | "input_text" | "output_text") => {
            part["text"].as_str().ok_or(LineError::NoContent)
        }
        Some(other) => Err(LineError::Unsupported { what: format!("a part of type {other:?}") }),
        None => Err(LineError::NoContent),
    }
}
