//! A message's header: role, name, recipient, channel and content type out of its tokens.
//!
//! It knows nothing of contents; `parse.rs` feeds it the tokens up to `<|message|>`.

use super::error::HarmonyError;
use super::message::{Message, Role};
use crate::tokenizer::{Control, TextStream, Tokenizer};

/// What stands before a message's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Who speaks.
    pub role: Role,
    /// The speaker's own name.
    pub name: Option<String>,
    /// `analysis`, `commentary` or `final`, as far as the model keeps to them.
    pub channel: Option<String>,
    /// Whom it addresses.
    pub recipient: Option<String>,
    /// What the content is.
    pub content_type: Option<String>,
}

impl From<Header> for Message {
    fn from(header: Header) -> Message {
        Message {
            role: header.role,
            name: header.name,
            channel: header.channel,
            recipient: header.recipient,
            content_type: header.content_type,
            content: String::new(),
        }
    }
}

/// Where a header's role comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoleSource {
    /// The prompt already ended with it.
    Prompt,
    /// The header's first word, after `<|start|>`.
    FirstWord,
}

/// A header's text so far: before and after `<|channel|>`.
#[derive(Debug)]
pub(super) struct HeaderText<'a> {
    stream: TextStream<'a>,
    source: RoleSource,
    is_lenient: bool,
    author: String,
    channel: Option<String>,
}

impl<'a> HeaderText<'a> {
    pub(super) fn new(
        tokenizer: &'a Tokenizer,
        source: RoleSource,
        is_lenient: bool,
    ) -> HeaderText<'a> {
        let stream = TextStream::new(tokenizer);
        HeaderText { stream, source, is_lenient, author: String::new(), channel: None }
    }

    /// Takes a token of the header; `false` when no header can hold it. Leniently, the last channel
    /// counts.
    pub(super) fn push(&mut self, token: u32, control: Option<Control>) -> bool {
        let text = match control {
            None => self.stream.push(token),
            Some(Control::Constrain) => self.stream.finish() + " " + Control::Constrain.name(),
            Some(Control::Channel) if self.is_lenient || self.channel.is_none() => {
                let held = self.stream.finish();
                self.end().push_str(&held);
                self.channel = Some(String::new());
                return true;
            }
            Some(_) => return self.is_lenient,
        };
        self.end().push_str(&text);
        true
    }

    /// The header that the text spells. `role` is whose it is if it need not or, leniently, does not say.
    pub(super) fn read(mut self, role: &Role) -> Result<Header, HarmonyError> {
        let held = self.stream.finish();
        self.end().push_str(&held);
        let may_lack = |error| if self.is_lenient { Ok(()) } else { Err(error) };
        let mut words: Vec<&str> = self.author.split_whitespace().collect();
        let author_word = take_first(&mut words, |word| match self.source {
            RoleSource::FirstWord => is_name(word),
            RoleSource::Prompt => self.is_lenient && is_role(word),
        });
        if author_word.is_none() && self.source == RoleSource::FirstWord {
            may_lack(HarmonyError::NoRole)?;
        }
        let (role, name) = author_word.map_or_else(|| (role.clone(), None), author);
        let mut channel_words =
            self.channel.iter().flat_map(|text| text.split_whitespace()).collect();
        let channel = take_first(&mut channel_words, is_name).map(str::to_owned);
        if channel.is_none() && self.channel.is_some() {
            may_lack(HarmonyError::NoChannel)?;
        }
        words.extend(channel_words);
        let recipient = words.iter().position(|word| word.starts_with(TO));
        let recipient = recipient.map(|at| words.remove(at)[TO.len()..].to_owned());
        let content_type = take_content_type(&mut words);
        if !words.is_empty() {
            may_lack(HarmonyError::HeaderWords { words: words.join(" ") })?;
        }
        Ok(Header { role, name, channel, recipient, content_type })
    }

    /// The text as it came, if it cannot have been a header: no `<|start|>` and no channel.
    pub(super) fn bare(mut self) -> Option<String> {
        let is_bare = self.source == RoleSource::Prompt && self.channel.is_none();
        self.author += &self.stream.finish();
        (is_bare && !self.author.is_empty()).then_some(self.author)
    }

    fn end(&mut self) -> &mut String {
        self.channel.as_mut().unwrap_or(&mut self.author)
    }
}

/// Before a recipient.
const TO: &str = "to=";

/// A role or a channel, not one of the other things that a header may say.
fn is_name(word: &str) -> bool {
    !word.starts_with(TO) && !word.starts_with(Control::Constrain.name())
}

fn is_role(word: &str) -> bool {
    !matches!(author(word).0, Role::Tool(_))
}

fn author(word: &str) -> (Role, Option<String>) {
    match word.split_once(':') {
        Some((role, name)) => (Role::from(role.to_owned()), Some(name.to_owned())),
        None => (Role::from(word.to_owned()), None),
    }
}

fn take_first<'a>(words: &mut Vec<&'a str>, wanted: impl Fn(&str) -> bool) -> Option<&'a str> {
    words.first().is_some_and(|word| wanted(word)).then(|| words.remove(0))
}

/// `code`, or `<|constrain|>json`, which some replies write with a space between.
fn take_content_type(words: &mut Vec<&str>) -> Option<String> {
    let word = take_first(words, |word| !word.starts_with(TO))?;
    let kind = if word == Control::Constrain.name() { take_first(words, is_name) } else { None };
    Some(word.to_owned() + kind.unwrap_or_default())
}
