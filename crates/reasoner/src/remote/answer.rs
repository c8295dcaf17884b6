//! Thought and verdict in a server's reply, wherever the server put them.

use policy::Usage;

use super::error::RemoteError;
use super::logprob::violation_score;
use super::wire::{Choice, Completion, Said};

/// A reply taken apart.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) reasoning: String,
    /// The text that should be the JSON verdict.
    pub(super) verdict: String,
    pub(super) score: Option<f64>,
    pub(super) usage: Usage,
}

impl Answer {
    pub(super) fn new(completion: Completion) -> Result<Answer, RemoteError> {
        let tokens = completion.usage.unwrap_or_default();
        let usage = Usage {
            prompt_tokens: tokens.prompt_tokens,
            cached_tokens: tokens
                .prompt_tokens_details
                .and_then(|details| details.cached_tokens)
                .unwrap_or(0),
            generated_tokens: tokens.completion_tokens,
            seconds: 0.0,
        };
        let mut choices = completion.choices.into_iter();
        let choice = choices
            .next()
            .ok_or_else(|| RemoteError::Form { problem: "it has no choices".to_owned() })?;
        check_finish(&choice)?;
        let (reasoning, verdict) = split(&choice.message);
        if verdict.trim().is_empty() {
            return Err(match choice.finish_reason.as_deref() {
                Some("length") => RemoteError::Truncated,
                _ => RemoteError::Form { problem: "its final message is empty".to_owned() },
            });
        }
        let verdict = json_object(&verdict).to_owned();
        if choice.finish_reason.as_deref() == Some("length") && !verdict.ends_with('}') {
            return Err(RemoteError::Truncated);
        }
        let logprobs = choice.logprobs.and_then(|logprobs| logprobs.content).unwrap_or_default();
        Ok(Answer { score: violation_score(&logprobs, &verdict), reasoning, verdict, usage })
    }
}

fn check_finish(choice: &Choice) -> Result<(), RemoteError> {
    let is_refused = choice.message.refusal.as_deref().is_some_and(|text| !text.is_empty());
    if is_refused || choice.finish_reason.as_deref() == Some("content_filter") {
        return Err(RemoteError::Refused);
    }
    Ok(())
}

/// Thought and final text: from their own fields, from raw harmony, or from a `<think>` block.
fn split(said: &Said) -> (String, String) {
    let content = said.content.clone().unwrap_or_default();
    let own = [&said.reasoning, &said.reasoning_content, &said.thinking]
        .into_iter()
        .flatten()
        .find(|text| !text.is_empty());
    if let Some(thought) = own {
        return (thought.clone(), final_text(&content).unwrap_or(&content).to_owned());
    }
    if content.trim_start().starts_with("<|") {
        let thought =
            between(&content, "<|channel|>analysis<|message|>", "<|end|>").unwrap_or_default();
        return (thought.to_owned(), final_text(&content).unwrap_or_default().to_owned());
    }
    match (between(&content, "<think>", "</think>"), content.split_once("</think>")) {
        (Some(thought), Some((_, rest))) => (thought.trim().to_owned(), rest.to_owned()),
        _ => (String::new(), content),
    }
}

/// What stands in the last final channel of raw harmony text.
fn final_text(content: &str) -> Option<&str> {
    let (_, from_header) = content.rsplit_once("<|channel|>final")?;
    let (_, text) = from_header.split_once("<|message|>")?;
    let end = ["<|return|>", "<|end|>", "<|call|>"].iter().filter_map(|mark| text.find(mark)).min();
    Some(&text[..end.unwrap_or(text.len())])
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    Some(rest.split_once(end).map_or(rest, |(inner, _)| inner))
}

/// The one forgiveness: an object in a code fence or after a sentence is found.
fn json_object(text: &str) -> &str {
    match (text.find('{'), text.rfind('}')) {
        (Some(start), Some(end)) if start < end => &text[start..=end],
        _ => text.trim(),
    }
}
