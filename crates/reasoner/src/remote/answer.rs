//! Thought and verdict in a server's reply, wherever the server put them.

use policy::Usage;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::error::RemoteError;
use super::harmony;
use super::logprob::violation_score;
use super::wire::{Choice, Completion, Said};

/// A reply taken apart.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) reasoning: String,
    /// The text that should be the JSON verdict, or why there is none.
    pub(super) verdict: Result<String, RemoteError>,
    pub(super) score: Option<f64>,
    pub(super) usage: Usage,
}

impl Answer {
    pub(super) fn new(completion: Completion) -> Answer {
        let usage = completion.usage();
        let nothing =
            |error| Answer { reasoning: String::new(), verdict: Err(error), score: None, usage };
        if !completion.error.is_null() {
            return nothing(RemoteError::Failed);
        }
        let Some(choice) = completion.choices.into_iter().next() else {
            return nothing(RemoteError::Form { problem: "it has no choices".to_owned() });
        };
        let (reasoning, verdict) = split(&choice.message);
        let verdict = check_finish(&choice).and(verdict).and_then(|text| whole(&choice, &text));
        let score = verdict
            .as_ref()
            .ok()
            .and_then(|verdict| violation_score(&choice.token_probs(), verdict));
        Answer { reasoning, verdict, score, usage }
    }
}

fn check_finish(choice: &Choice) -> Result<(), RemoteError> {
    let finish = choice.finish_reason.as_str();
    if finish == Some("content_filter") || !text(&choice.message.refusal).is_empty() {
        return Err(RemoteError::Refused);
    }
    if finish == Some("error") || !choice.error.is_null() {
        return Err(RemoteError::Failed);
    }
    Ok(())
}

/// The verdict's text, if the reply did not end before it or inside it.
fn whole(choice: &Choice, text: &str) -> Result<String, RemoteError> {
    let verdict = unfenced(text);
    let is_cut = choice.finish_reason.as_str() == Some("length");
    if is_cut && serde_json::from_str::<IgnoredAny>(verdict).is_err() {
        return Err(RemoteError::Truncated);
    }
    if verdict.is_empty() {
        return Err(RemoteError::Form { problem: "its final message is empty".to_owned() });
    }
    Ok(verdict.to_owned())
}

/// Thought and final text: from their own fields, from raw harmony, or from a `<think>` block.
fn split(said: &Said) -> (String, Result<String, RemoteError>) {
    let own = [&said.reasoning, &said.reasoning_content, &said.thinking];
    let own = own.into_iter().map(text).find(|text| !text.is_empty());
    let content = text(&said.content);
    let (thought, verdict) = split_content(content.trim());
    (own.unwrap_or(thought), verdict)
}

/// By how the content begins: what stands inside a JSON verdict is never a mark.
fn split_content(content: &str) -> (String, Result<String, RemoteError>) {
    if content.starts_with("<|") {
        return harmony::split(content);
    }
    if content.starts_with(['{', '`']) {
        return (String::new(), Ok(content.to_owned()));
    }
    // Some templates write the opening mark into the prompt.
    let (thought, verdict) = match content.split_once("</think>") {
        Some((thought, verdict)) => (thought, verdict),
        None if content.starts_with("<think>") => (content, ""),
        None => ("", content),
    };
    let thought = thought.trim().trim_start_matches("<think>").trim();
    (thought.to_owned(), Ok(verdict.to_owned()))
}

/// The text of a field: a string, or a list of parts of which those of type `text` count.
fn text(field: &Value) -> String {
    let parts = field.as_array().into_iter().flatten();
    let texts =
        parts.filter(|part| part["type"] == "text").filter_map(|part| part["text"].as_str());
    field.as_str().map_or_else(|| texts.collect(), str::to_owned)
}

/// The one forgiveness: a code fence around the verdict. What stands before or behind it makes it no
/// verdict, since a model that quotes the content may quote a verdict.
fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let inner = text.strip_prefix("```").and_then(|text| text.strip_suffix("```"));
    inner.map_or(text, |inner| inner.strip_prefix("json").unwrap_or(inner).trim())
}
