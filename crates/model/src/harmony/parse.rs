//! Generated tokens into messages, token by token.

use super::error::HarmonyError;
use super::message::{Message, Role};
use crate::tokenizer::{Control, TextStream, Tokenizer};

/// A message's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Who speaks.
    pub role: Role,
    /// The speaker's own name.
    pub name: Option<String>,
    /// `analysis`, `commentary`, `final`.
    pub channel: Option<String>,
    /// Whom it addresses.
    pub recipient: Option<String>,
    /// What the content is.
    pub content_type: Option<String>,
}

/// What a token told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing to report yet: part of a header, or of a character.
    Nothing,
    /// A header is complete; its content follows.
    Message(Header),
    /// More content.
    Text(String),
    /// The message ended, by `<|end|>`, `<|return|>` or `<|call|>`; characters held back come first.
    End {
        /// Text that was held back.
        text: String,
        /// The token that ended it.
        by: Control,
    },
}

/// Reads the tokens that a model generates after `<|start|>role`.
///
/// Any sequence of tokens is taken without a panic; after an error, every further token gives the
/// same error.
#[derive(Debug)]
pub struct Parser<'a> {
    tokenizer: &'a Tokenizer,
    state: State<'a>,
}

#[derive(Debug)]
enum State<'a> {
    Header(HeaderText<'a>),
    Content(TextStream<'a>),
    Between,
    Failed(HarmonyError),
}

/// A header's text so far: before and after `<|channel|>`.
#[derive(Debug)]
struct HeaderText<'a> {
    stream: TextStream<'a>,
    given_role: Option<Role>,
    author: String,
    channel: Option<String>,
}

impl<'a> Parser<'a> {
    /// A parser of what follows `<|start|>` and the role's name.
    pub fn new(tokenizer: &'a Tokenizer, role: Role) -> Parser<'a> {
        Parser { tokenizer, state: State::Header(HeaderText::new(tokenizer, Some(role))) }
    }

    /// Takes the next token.
    ///
    /// # Errors
    /// [`HarmonyError`] when no messages can read so.
    pub fn push(&mut self, token: u32) -> Result<Event, HarmonyError> {
        let result = self.step(token);
        if let Err(error) = &result {
            self.state = State::Failed(error.clone());
        }
        result
    }

    /// The end of the tokens; the characters held back, if inside a content.
    ///
    /// # Errors
    /// [`HarmonyError::EndInHeader`], or the error that was met before.
    pub fn finish(self) -> Result<String, HarmonyError> {
        match self.state {
            State::Header(_) => Err(HarmonyError::EndInHeader),
            State::Content(mut stream) => Ok(stream.finish()),
            State::Between => Ok(String::new()),
            State::Failed(error) => Err(error),
        }
    }

    fn step(&mut self, token: u32) -> Result<Event, HarmonyError> {
        let control = self.tokenizer.control_of(token);
        match &mut self.state {
            State::Failed(error) => Err(error.clone()),
            State::Between if control == Some(Control::Start) => {
                self.state = State::Header(HeaderText::new(self.tokenizer, None));
                Ok(Event::Nothing)
            }
            State::Between => Err(HarmonyError::ExpectedStart { token }),
            State::Header(header) if control == Some(Control::Message) => {
                let header = header.read()?;
                self.state = State::Content(TextStream::new(self.tokenizer));
                Ok(Event::Message(header))
            }
            State::Header(header) => header.push(token, control).map(|()| Event::Nothing),
            State::Content(stream) => match control {
                Some(by @ (Control::End | Control::Return | Control::Call)) => {
                    let text = stream.finish();
                    self.state = State::Between;
                    Ok(Event::End { text, by })
                }
                _ => Ok(match stream.push(token) {
                    text if text.is_empty() => Event::Nothing,
                    text => Event::Text(text),
                }),
            },
        }
    }
}

impl<'a> HeaderText<'a> {
    fn new(tokenizer: &'a Tokenizer, given_role: Option<Role>) -> HeaderText<'a> {
        HeaderText {
            stream: TextStream::new(tokenizer),
            given_role,
            author: String::new(),
            channel: None,
        }
    }

    fn push(&mut self, token: u32, control: Option<Control>) -> Result<(), HarmonyError> {
        let text = match control {
            None => self.stream.push(token),
            Some(Control::Constrain) => self.stream.finish() + " " + Control::Constrain.name(),
            Some(Control::Channel) if self.channel.is_none() => {
                self.author += &self.stream.finish();
                self.channel = Some(String::new());
                return Ok(());
            }
            Some(_) => return Err(HarmonyError::InHeader { token }),
        };
        *self.channel.as_mut().unwrap_or(&mut self.author) += &text;
        Ok(())
    }

    fn read(&mut self) -> Result<Header, HarmonyError> {
        let rest = self.stream.finish();
        *self.channel.as_mut().unwrap_or(&mut self.author) += &rest;
        let mut words: Vec<&str> = self.author.split_whitespace().collect();
        let (role, name) = match &self.given_role {
            Some(role) => (role.clone(), None),
            None if words.is_empty() => return Err(HarmonyError::NoRole),
            None => author(words.remove(0)),
        };
        let mut channel_words = self.channel.as_deref().unwrap_or("").split_whitespace();
        let channel = channel_words.next().map(str::to_owned);
        words.extend(channel_words);
        let recipient = take(&mut words, |word| word.strip_prefix("to="));
        let content_type = take(&mut words, |word| Some(word));
        if !words.is_empty() {
            return Err(HarmonyError::HeaderWords { words: words.join(" ") });
        }
        Ok(Header { role, name, channel, recipient, content_type })
    }
}

fn author(word: &str) -> (Role, Option<String>) {
    match word.split_once(':') {
        Some((role, name)) => (Role::from(role.to_owned()), Some(name.to_owned())),
        None => (Role::from(word.to_owned()), None),
    }
}

/// Removes the first word that `wanted` takes.
fn take(words: &mut Vec<&str>, wanted: impl Fn(&str) -> Option<&str>) -> Option<String> {
    let at = words.iter().position(|word| wanted(word).is_some())?;
    wanted(words.remove(at)).map(str::to_owned)
}

/// All messages of a completion; a content that the tokens leave open counts as a message.
///
/// # Errors
/// As [`Parser::push`] and [`Parser::finish`].
pub fn parse_completion(
    tokenizer: &Tokenizer,
    role: Role,
    tokens: &[u32],
) -> Result<Vec<Message>, HarmonyError> {
    let mut parser = Parser::new(tokenizer, role);
    let mut messages: Vec<Message> = Vec::new();
    for &token in tokens {
        match parser.push(token)? {
            Event::Nothing => {}
            Event::Message(header) => messages.push(header.into()),
            Event::Text(text) | Event::End { text, .. } => append(&mut messages, &text),
        }
    }
    let rest = parser.finish()?;
    append(&mut messages, &rest);
    Ok(messages)
}

fn append(messages: &mut [Message], text: &str) {
    if let Some(message) = messages.last_mut() {
        message.content += text;
    }
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
