//! What is judged: a text, an exchange, or a conversation, with metadata lines.

use serde::{Deserialize, Serialize};

use crate::error::ContentError;

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// `user`, `assistant`, `system`, or `tool`.
    pub role: String,
    /// What was said, or a tool call's arguments, or a tool's result.
    pub text: String,
    /// The tool's name, on a call or a result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
}

/// A content with what is known about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// One text.
    Text {
        /// The text.
        text: String,
        /// Lines `key: value` that the policy may refer to.
        #[serde(default, skip_serializing_if = "Vec::is_empty", with = "pairs")]
        metadata: Vec<(String, String)>,
    },
    /// A prompt and the reply to it, judged together.
    Exchange {
        /// What the user asked.
        prompt: String,
        /// What the assistant answered.
        reply: String,
        /// As for a text.
        #[serde(default, skip_serializing_if = "Vec::is_empty", with = "pairs")]
        metadata: Vec<(String, String)>,
    },
    /// Many turns, tool calls included.
    Conversation {
        /// The turns, oldest first.
        messages: Vec<Turn>,
        /// As for a text.
        #[serde(default, skip_serializing_if = "Vec::is_empty", with = "pairs")]
        metadata: Vec<(String, String)>,
    },
}

impl Content {
    /// A plain text.
    pub fn text(text: impl Into<String>) -> Content {
        Content::Text { text: text.into(), metadata: Vec::new() }
    }

    /// Reads the JSON of a content: `{"text"}`, `{"prompt","reply"}` or `{"messages":[{"role","text"}]}`,
    /// each with `"metadata":{…}` if wanted.
    ///
    /// # Errors
    /// As [`Content::check`], or [`ContentError::Json`].
    pub fn from_json(text: &str) -> Result<Content, ContentError> {
        let content: Content = serde_json::from_str(text)?;
        content.check()?;
        Ok(content)
    }

    /// Whether it can be shown to a judge.
    ///
    /// # Errors
    /// [`ContentError::Empty`] without any text, [`ContentError::Metadata`] for lines that are none.
    pub fn check(&self) -> Result<(), ContentError> {
        if self.texts().iter().all(|text| text.trim().is_empty()) {
            return Err(ContentError::Empty);
        }
        let is_line = |(key, value): &&(String, String)| {
            let is_key = !key.is_empty()
                && !key.starts_with("CONTENT ")
                && !key.starts_with("END ")
                && !key.contains(':');
            is_key && !key.contains(['\n', '\r']) && !value.contains(['\n', '\r'])
        };
        match self.metadata().iter().find(|pair| !is_line(pair)) {
            Some((key, _)) => Err(ContentError::Metadata { key: key.clone() }),
            None => Ok(()),
        }
    }

    /// `text`, `exchange` or `conversation`: the word behind the fence.
    pub fn kind(&self) -> &'static str {
        match self {
            Content::Text { .. } => "text",
            Content::Exchange { .. } => "exchange",
            Content::Conversation { .. } => "conversation",
        }
    }

    /// The metadata lines.
    pub fn metadata(&self) -> &[(String, String)] {
        match self {
            Content::Text { metadata, .. }
            | Content::Exchange { metadata, .. }
            | Content::Conversation { metadata, .. } => metadata,
        }
    }

    /// All that was said, turn by turn.
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Content::Text { text, .. } => vec![text],
            Content::Exchange { prompt, reply, .. } => vec![prompt, reply],
            Content::Conversation { messages, .. } => {
                messages.iter().map(|turn| turn.text.as_str()).collect()
            }
        }
    }
}

/// Metadata as a JSON object whose order is kept.
mod pairs {
    use std::fmt;

    use serde::de::{MapAccess, Visitor};
    use serde::ser::SerializeMap;
    use serde::{Deserializer, Serializer};

    type Pairs = Vec<(String, String)>;

    pub(super) fn serialize<S: Serializer>(
        pairs: &Pairs,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(pairs.len()))?;
        for (key, value) in pairs {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Pairs, D::Error> {
        struct Map;

        impl<'de> Visitor<'de> for Map {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of metadata")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, serde_json::Value>()? {
                    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    pairs.push((key, value));
                }
                Ok(pairs)
            }
        }

        deserializer.deserialize_map(Map)
    }
}
