//! What the model sees: system message, policy, and the content between two marks.
//!
//! Everything before the content is the same for every content of a policy, so that its keys and values
//! are computed once. The content is data: it is encoded as plain text, between lines with a random
//! marker that it cannot know.

use model::harmony::{self, Conversation, Message, Role, SystemMessage};
use model::tokenizer::{Control, Tokenizer};
use policy::{Content, Effort, Policy, Turn, hex};
use sha2::{Digest, Sha256};

use crate::schema::reply_schema;

/// Hexadecimal digits of a marker.
const MARKER_LEN: usize = 8;

/// A prompt in parts, before it is tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The system message.
    pub system: SystemMessage,
    /// The policy and the reply format.
    pub developer: String,
    /// The content between its marks.
    pub user: String,
}

impl Prompt {
    /// The prompt for one content. `marker` must not occur in it.
    pub fn new(policy: &Policy, content: &Content, effort: Effort, marker: &str) -> Prompt {
        let system = SystemMessage {
            reasoning_effort: Some(harmony_effort(effort)),
            current_date: policy.front.date.clone(),
            ..SystemMessage::default()
        };
        let developer = format!(
            "{}\n\n# Response Formats\n\n## verdict\n\n{}",
            policy.body,
            reply_schema(policy)
        );
        Prompt { system, developer, user: item_text(content, marker) }
    }

    /// The tokens, up to the place where the analysis begins.
    pub fn tokens(&self, tokenizer: &Tokenizer) -> Vec<u32> {
        let conversation = Conversation {
            system: Some(self.system.clone()),
            developer: Some(self.developer.clone()),
            messages: vec![Message::new(Role::User, self.user.clone())],
            next_role: None,
        };
        let mut tokens = harmony::render(tokenizer, &conversation);
        tokens.extend(opening(tokenizer, "analysis"));
        tokens
    }
}

/// How many tokens of a prompt stand before the content: the same for every content of a policy.
pub(crate) fn n_prefix(prompt: &[u32], tokenizer: &Tokenizer) -> usize {
    let start = tokenizer.control(Control::Start);
    // The last message is the reply that begins, the one before it the content, which cannot write this token.
    let mut starts = prompt.iter().enumerate().rev().filter(|(_, token)| **token == start);
    starts.nth(1).map_or(0, |(at, _)| at)
}

/// The header of an assistant's message in a channel, up to its content.
pub(crate) fn opening(tokenizer: &Tokenizer, channel: &str) -> Vec<u32> {
    let mut tokens = vec![tokenizer.control(Control::Start)];
    tokens.extend(tokenizer.encode(Role::Assistant.name()));
    tokens.push(tokenizer.control(Control::Channel));
    tokens.extend(tokenizer.encode(channel));
    tokens.push(tokenizer.control(Control::Message));
    tokens
}

fn harmony_effort(effort: Effort) -> harmony::Effort {
    match effort {
        Effort::Low => harmony::Effort::Low,
        Effort::Medium => harmony::Effort::Medium,
        Effort::High => harmony::Effort::High,
    }
}

/// The user message: kind and metadata, a blank line, the content, each mark on a line of its own.
pub fn item_text(content: &Content, marker: &str) -> String {
    let mut text = format!("CONTENT {marker} {}\n", content.kind());
    for (key, value) in content.metadata() {
        text += &format!("{key}: {value}\n");
    }
    format!("{text}\n{}\nEND {marker}", body(content, marker))
}

fn body(content: &Content, marker: &str) -> String {
    match content {
        Content::Text { text, .. } => text.clone(),
        Content::Exchange { prompt, reply, .. } => {
            format!("[user {marker}]\n{prompt}\n[assistant {marker}]\n{reply}")
        }
        Content::Conversation { messages, .. } => {
            let turns =
                messages.iter().map(|turn| format!("[{} {marker}]\n{}", speaker(turn), turn.text));
            turns.collect::<Vec<_>>().join("\n")
        }
    }
}

/// Who a turn is by: a tool's result is by the tool, a call is by the assistant.
fn speaker(turn: &Turn) -> String {
    let role = one_line(&turn.role);
    match turn.tool.as_deref().map(one_line) {
        None => role,
        Some(tool) if role == "tool" => format!("tool {tool}"),
        Some(tool) => format!("{role} calls {tool}"),
    }
}

/// Names stand inside a mark, so they must not break its line.
fn one_line(name: &str) -> String {
    name.replace(['\n', '\r', '[', ']'], " ")
}

/// A marker that the content does not hold: random, or derived from a seed so that a verdict can be
/// repeated.
///
/// # Errors
/// When the system has no random numbers to give.
pub fn marker(content: &Content, seed: Option<u64>) -> Result<String, getrandom::Error> {
    let mut start = [0; 8];
    match seed {
        Some(seed) => start = seed.to_le_bytes(),
        None => getrandom::fill(&mut start)?,
    }
    let holds = |marker: &str| {
        content.texts().iter().any(|text| text.contains(marker))
            || content
                .metadata()
                .iter()
                .any(|(key, value)| key.contains(marker) || value.contains(marker))
    };
    let tries = (0_u64..).map(|attempt| drawn(start, content, attempt));
    Ok(tries.into_iter().find(|marker| !holds(marker)).expect("the tries do not end"))
}

fn drawn(start: [u8; 8], content: &Content, attempt: u64) -> String {
    let mut hash = Sha256::new().chain_update(start).chain_update(attempt.to_le_bytes());
    for text in content.texts() {
        hash.update(text);
    }
    let digest = hash.finalize();
    hex(&digest[..MARKER_LEN / 2])
}
