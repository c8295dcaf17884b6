//! Conversations into tokens. Every run of text is encoded by itself, so no content can make a control token.

use super::message::{Conversation, Message, Role, SystemMessage};
use crate::tokenizer::{Control, Tokenizer};

/// The identity line that gpt-oss was trained with.
const IDENTITY: &str = "You are ChatGPT, a large language model trained by OpenAI.";
const CHANNELS: [&str; 3] = ["analysis", "commentary", "final"];

/// The tokens of a conversation, ready to be continued by `next_role`.
pub fn render(tokenizer: &Tokenizer, conversation: &Conversation) -> Vec<u32> {
    let mut out = Vec::new();
    if let Some(system) = &conversation.system {
        push_message(tokenizer, &Message::new(Role::System, system_text(system)), &mut out);
    }
    if let Some(instructions) = &conversation.developer {
        let text = format!("# Instructions\n\n{instructions}");
        push_message(tokenizer, &Message::new(Role::Developer, text), &mut out);
    }
    let n_dropped = finished_thoughts(&conversation.messages);
    for (at, message) in conversation.messages.iter().enumerate() {
        if at >= n_dropped || message.channel.as_deref() != Some("analysis") {
            push_message(tokenizer, message, &mut out);
        }
    }
    if let Some(role) = &conversation.next_role {
        out.push(tokenizer.control(Control::Start));
        out.extend(tokenizer.encode(role.name()));
    }
    out
}

/// The text of a system message.
pub fn system_text(system: &SystemMessage) -> String {
    let mut head = vec![system.model_identity.clone().unwrap_or_else(|| IDENTITY.to_owned())];
    head.extend(system.knowledge_cutoff.iter().map(|cutoff| format!("Knowledge cutoff: {cutoff}")));
    head.extend(system.current_date.iter().map(|date| format!("Current date: {date}")));
    let mut parts = vec![head.join("\n")];
    parts.extend(system.reasoning_effort.iter().map(|effort| format!("Reasoning: {effort}")));
    let channels = match &system.channels {
        None => CHANNELS.join(", "),
        Some(channels) => channels.join(", "),
    };
    parts
        .push(format!("# Valid channels: {channels}. Channel must be included for every message."));
    parts.join("\n\n")
}

/// Analysis messages before this index are dropped: once an answer is final, the thoughts that led to it
/// are not shown to the model again.
fn finished_thoughts(messages: &[Message]) -> usize {
    let is_final = |message: &Message| message.channel.as_deref() == Some("final");
    let last = messages.iter().rev().find(|message| message.role == Role::Assistant);
    match last.filter(|message| is_final(message)) {
        Some(_) => messages.iter().position(is_final).unwrap_or(0),
        None => 0,
    }
}

fn push_message(tokenizer: &Tokenizer, message: &Message, out: &mut Vec<u32>) {
    out.push(tokenizer.control(Control::Start));
    let mut author = message.role.name().to_owned();
    if let Some(name) = &message.name {
        author = format!("{author}:{name}");
    }
    if let Some(recipient) = &message.recipient {
        author = format!("{author} to={recipient}");
    }
    out.extend(tokenizer.encode(&author));
    if let Some(channel) = &message.channel {
        out.push(tokenizer.control(Control::Channel));
        out.extend(tokenizer.encode(channel));
    }
    if let Some(content_type) = &message.content_type {
        push_content_type(tokenizer, content_type, out);
    }
    out.push(tokenizer.control(Control::Message));
    out.extend(tokenizer.encode(&message.content));
    let is_call = message.role == Role::Assistant && message.recipient.is_some();
    out.push(tokenizer.control(if is_call { Control::Call } else { Control::End }));
}

fn push_content_type(tokenizer: &Tokenizer, content_type: &str, out: &mut Vec<u32>) {
    match content_type.strip_prefix(Control::Constrain.name()) {
        Some(kind) => {
            out.extend(tokenizer.encode(" "));
            out.push(tokenizer.control(Control::Constrain));
            out.extend(tokenizer.encode(kind));
        }
        None => out.extend(tokenizer.encode(&format!(" {content_type}"))),
    }
}
