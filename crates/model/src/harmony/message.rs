//! Conversations as people write them down.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who speaks. Anybody who is none of the first four is a tool, by its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Role {
    /// Identity, dates, effort, channels.
    System,
    /// Instructions: here the policy.
    Developer,
    /// The one who asks: here the content.
    User,
    /// The model.
    Assistant,
    /// A tool's answer.
    Tool(String),
}

impl Role {
    /// As headers spell it.
    pub fn name(&self) -> &str {
        match self {
            Role::System => "system",
            Role::Developer => "developer",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool(name) => name,
        }
    }
}

impl From<String> for Role {
    fn from(name: String) -> Role {
        match name.as_str() {
            "system" => Role::System,
            "developer" => Role::Developer,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            _ => Role::Tool(name),
        }
    }
}

impl From<Role> for String {
    fn from(role: Role) -> String {
        role.name().to_owned()
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How long the model should think.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    /// A line or two.
    Low,
    /// The default of gpt-oss.
    #[default]
    Medium,
    /// As long as it takes.
    High,
}

impl Effort {
    /// As the system message spells it.
    pub fn name(self) -> &'static str {
        match self {
            Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High => "high",
        }
    }
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The system message's parts; an absent part is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SystemMessage {
    /// `Reasoning: …`
    #[serde(default)]
    pub reasoning_effort: Option<Effort>,
    /// `Current date: …`, as `YYYY-MM-DD`.
    #[serde(default)]
    pub current_date: Option<String>,
    /// The first line; absent means the one that gpt-oss was trained with.
    #[serde(default)]
    pub model_identity: Option<String>,
    /// `Knowledge cutoff: …`
    #[serde(default = "default_cutoff")]
    pub knowledge_cutoff: Option<String>,
    /// Channels that the model may use; absent means analysis, commentary and final.
    #[serde(default)]
    pub channels: Option<Vec<String>>,
}

fn default_cutoff() -> Option<String> {
    Some("2024-06".to_owned())
}

impl Default for SystemMessage {
    fn default() -> SystemMessage {
        SystemMessage {
            reasoning_effort: Some(Effort::default()),
            current_date: None,
            model_identity: None,
            knowledge_cutoff: default_cutoff(),
            channels: None,
        }
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// The speaker's own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `analysis`, `commentary` or `final`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Whom it addresses: a tool, as `functions.lookup`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// What the content is, as `<|constrain|>json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The text.
    pub content: String,
}

impl Message {
    /// A message of a role with nothing but text.
    pub fn new(role: Role, content: impl Into<String>) -> Message {
        Message {
            role,
            name: None,
            channel: None,
            recipient: None,
            content_type: None,
            content: content.into(),
        }
    }
}

/// What a model is asked to continue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// The system message.
    #[serde(default)]
    pub system: Option<SystemMessage>,
    /// The developer's instructions; an empty text still gives a message, `null` gives none.
    #[serde(default)]
    pub developer: Option<String>,
    /// What was said so far.
    #[serde(default)]
    pub messages: Vec<Message>,
    /// Who speaks next; the rendering ends with the beginning of its header.
    #[serde(default)]
    pub next_role: Option<Role>,
}
