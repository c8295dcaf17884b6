//! A line of input: our own form, or a request line of OpenAI's batch files.

use policy::{Content, ContentError};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::openai;

/// Something to judge, with the caller's name for it.
#[derive(Debug, PartialEq)]
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) content: Content,
}

/// Why a line cannot be judged. No message holds the line's text: it is somebody's content.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    #[error("not a JSON object: column {column}, {kind}")]
    Json { column: usize, kind: String },
    #[error("not UTF-8 text")]
    NotText,
    #[error("longer than {} bytes", super::MAX_LINE)]
    TooLong,
    #[error(r#"no "id": each line needs one, a string or a number"#)]
    NoId,
    #[error("the id {id:?} was given in line {first_line} already")]
    DuplicateId { id: String, first_line: usize },
    #[error(r#"nothing to judge: a line has "text", "prompt" with "reply", or "messages""#)]
    NoContent,
    #[error("{0}")]
    Content(#[from] ContentError),
    #[error("{what} cannot be judged")]
    Unsupported { what: String },
}

impl From<serde_json::Error> for LineError {
    fn from(error: serde_json::Error) -> LineError {
        LineError::Json {
            column: error.column(),
            kind: format!("{:?}", error.classify()).to_lowercase(),
        }
    }
}

/// Reads a line. A moderation request with many inputs is many items, `ID/0`, `ID/1` and so on.
pub(crate) fn items(line: &[u8]) -> Result<Vec<Item>, LineError> {
    let line = std::str::from_utf8(line).map_err(|_| LineError::NotText)?;
    let object: Map<String, Value> = serde_json::from_str(line)?;
    if object.contains_key("custom_id") {
        return openai::items(object);
    }
    let id = match object.get("id") {
        Some(Value::String(id)) if !id.is_empty() => id.clone(),
        Some(Value::Number(id)) => id.to_string(),
        _ => return Err(LineError::NoId),
    };
    Ok(vec![Item { id, content: content(object)? }])
}

/// Our own form; turns may carry OpenAI's `content` in place of `text`.
fn content(mut object: Map<String, Value>) -> Result<Content, LineError> {
    let is_content = ["text", "messages"].iter().any(|key| object.contains_key(*key))
        || (object.contains_key("prompt") && object.contains_key("reply"));
    if !is_content {
        return Err(LineError::NoContent);
    }
    if let Some(messages) = object.get("messages").filter(|messages| openai::is_chat(messages)) {
        let metadata = Metadata::deserialize(Value::Object(object.clone()))?;
        let messages = openai::turns(messages)?;
        return checked(Content::Conversation { messages, metadata: metadata.lines() });
    }
    object.remove("id");
    checked(Content::deserialize(Value::Object(object)).map_err(|_| LineError::NoContent)?)
}

pub(super) fn checked(content: Content) -> Result<Content, LineError> {
    content.check()?;
    Ok(content)
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    metadata: Map<String, Value>,
}

impl Metadata {
    fn lines(self) -> Vec<(String, String)> {
        let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        self.metadata.into_iter().map(|(key, value)| (key, text(value))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids and kinds, or a part of what is said.
    type Expected = Result<&'static [(&'static str, &'static str)], &'static str>;

    /// Each line with the ids and kinds that it means, or with a part of what is said of it.
    #[test]
    fn lines_are_items_or_say_what_is_wrong() {
        let cases: [(&str, Expected); 18] = [
            (r#"{"id":"a","text":"x"}"#, Ok(&[("a", "text")])),
            (r#"{"id":7,"text":"x","outcome":"clear"}"#, Ok(&[("7", "text")])),
            (r#"{"id":"a","prompt":"x","reply":"y","metadata":{"n":1}}"#, Ok(&[("a", "exchange")])),
            (r#"{"id":"a","messages":[{"role":"user","text":"x"}]}"#, Ok(&[("a", "conversation")])),
            (
                r#"{"id":"a","messages":[{"role":"user","content":"x"}]}"#,
                Ok(&[("a", "conversation")]),
            ),
            (
                r#"{"custom_id":"m","url":"/v1/moderations","body":{"input":["x","y"]}}"#,
                Ok(&[("m/0", "text"), ("m/1", "text")]),
            ),
            (
                r#"{"custom_id":"m","url":"/v1/moderations","body":{"input":"x"}}"#,
                Ok(&[("m", "text")]),
            ),
            (
                r#"{"custom_id":"c","url":"/v1/chat/completions","body":{"messages":[{"role":"user","content":[{"type":"text","text":"x"}]}]}}"#,
                Ok(&[("c", "conversation")]),
            ),
            (
                r#"{"custom_id":"r","url":"/v1/responses","body":{"input":"x"}}"#,
                Ok(&[("r", "text")]),
            ),
            (
                r#"{"custom_id":"i","url":"/v1/moderations","body":{"input":[{"type":"image_url","image_url":{"url":"u"}}]}}"#,
                Err("image_url"),
            ),
            (
                r#"{"custom_id":"e","url":"/v1/embeddings","body":{"input":"x"}}"#,
                Err("/v1/embeddings"),
            ),
            (r#"{"text":"x"}"#, Err("no \"id\"")),
            (r#"{"id":"a"}"#, Err("nothing to judge")),
            (r#"{"id":"a","text":5}"#, Err("nothing to judge")),
            (r#"{"id":"a","text":"  "}"#, Err("empty")),
            ("{", Err("column 1")),
            ("[1]", Err("column")),
            (
                r#"{"custom_id":"c","url":"/v1/chat/completions","body":{}}"#,
                Err("nothing to judge"),
            ),
        ];
        for (line, expected) in cases {
            match (items(line.as_bytes()), expected) {
                (Ok(found), Ok(expected)) => {
                    let found: Vec<_> =
                        found.iter().map(|item| (item.id.as_str(), item.content.kind())).collect();
                    assert_eq!(found, expected, "{line}");
                }
                (Err(error), Err(part)) => {
                    assert!(error.to_string().contains(part), "{line}: {error}")
                }
                (found, expected) => panic!("{line}: {found:?}, not {expected:?}"),
            }
        }
        assert!(matches!(items(b"\xff"), Err(LineError::NotText)));
    }
}
