//! Generated tokens into messages, token by token.
//!
//! The header's words are `header.rs`'s business. Nothing here knows what a message should say: a
//! channel or a content of any kind is passed on as it came.

use super::error::HarmonyError;
use super::header::{Header, HeaderText, RoleSource};
use super::message::{Message, Role};
use crate::tokenizer::{Control, TextStream, Tokenizer};

/// What a token told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A header is complete; its content follows.
    Message(Header),
    /// More content.
    Text(String),
    /// The message ended. Without a header before it (a lenient parser only), the text is the whole of
    /// a message that had none.
    End {
        /// The rest of the content: characters that were held back.
        text: String,
        /// The token that ended it: `<|end|>`, `<|return|>` or `<|call|>` for a strict parser.
        by: Control,
    },
}

/// Reads the tokens that a model generates after `<|start|>role`.
///
/// Any sequence of tokens is taken without a panic. A strict parser wants replies well formed and stops
/// at the first error; a lenient one makes the best of any reply: a missing `<|start|>`, `<|end|>`, role
/// or channel, words and control tokens that no header has, an unfinished header, text alone.
#[derive(Debug)]
pub struct Parser<'a> {
    tokenizer: &'a Tokenizer,
    role: Role,
    is_lenient: bool,
    state: State<'a>,
    messages: Vec<Message>,
}

#[derive(Debug)]
enum State<'a> {
    Header(HeaderText<'a>),
    Content(TextStream<'a>),
    Between,
    Failed(HarmonyError),
}

impl<'a> Parser<'a> {
    /// A parser of what follows `<|start|>` and the role's name, which fails on anything malformed.
    pub fn strict(tokenizer: &'a Tokenizer, role: Role) -> Parser<'a> {
        Parser::new(tokenizer, role, false)
    }

    /// A parser of what follows `<|start|>` and the role's name, which never fails.
    pub fn lenient(tokenizer: &'a Tokenizer, role: Role) -> Parser<'a> {
        Parser::new(tokenizer, role, true)
    }

    fn new(tokenizer: &'a Tokenizer, role: Role, is_lenient: bool) -> Parser<'a> {
        let state = State::Header(HeaderText::new(tokenizer, RoleSource::Prompt, is_lenient));
        Parser { tokenizer, role, is_lenient, state, messages: Vec::new() }
    }

    /// Takes the next token; `None` while it is part of a header or of a character, and after an error.
    pub fn push(&mut self, token: u32) -> Option<Event> {
        let control = self.tokenizer.control_of(token);
        match std::mem::replace(&mut self.state, State::Between) {
            State::Header(header) => self.in_header(header, token, control),
            State::Content(stream) => self.in_content(stream, token, control),
            State::Between => self.between(token, control),
            State::Failed(error) => self.fail(error),
        }
    }

    /// The messages so far; the last one may still be open.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The message whose content is being written: begun and not ended.
    pub fn open_message(&self) -> Option<&Message> {
        matches!(self.state, State::Content(_)).then(|| self.messages.last())?
    }

    /// Why a strict parser takes no more tokens.
    pub fn error(&self) -> Option<&HarmonyError> {
        match &self.state {
            State::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// All messages. One that the tokens leave open is among them: see [`Parser::open_message`].
    ///
    /// # Errors
    /// [`HarmonyError`] when no messages read so; from a strict parser only.
    pub fn finish(mut self) -> Result<Vec<Message>, HarmonyError> {
        match self.state {
            State::Header(_) if !self.is_lenient => return Err(HarmonyError::EndInHeader),
            State::Header(header) => {
                let bare = header.bare().map(|text| Message::new(self.role, text));
                self.messages.extend(bare);
            }
            State::Content(mut stream) => append(&mut self.messages, &stream.finish()),
            State::Between => {}
            State::Failed(error) => return Err(error),
        }
        Ok(self.messages)
    }

    fn in_header(
        &mut self,
        mut header: HeaderText<'a>,
        token: u32,
        control: Option<Control>,
    ) -> Option<Event> {
        match control {
            Some(Control::Message) => return self.open(header),
            Some(by) if self.is_lenient && ends(by) => return self.end_bare(header, by),
            Some(by @ Control::Start) if self.is_lenient => {
                let event = self.end_bare(header, by);
                self.start();
                return event;
            }
            _ if header.push(token, control) => {
                self.state = State::Header(header);
            }
            _ => return self.fail(HarmonyError::InHeader { token }),
        }
        None
    }

    fn in_content(
        &mut self,
        mut stream: TextStream<'a>,
        token: u32,
        control: Option<Control>,
    ) -> Option<Event> {
        match control {
            Some(by @ (Control::End | Control::Return | Control::Call)) => {
                Some(self.close(stream, by))
            }
            Some(by @ Control::EndOfText) if self.is_lenient => Some(self.close(stream, by)),
            Some(by @ (Control::Start | Control::Channel)) if self.is_lenient => {
                let event = self.close(stream, by);
                self.between(token, control);
                Some(event)
            }
            _ => {
                let text = stream.push(token);
                self.state = State::Content(stream);
                append(&mut self.messages, &text);
                (!text.is_empty()).then_some(Event::Text(text))
            }
        }
    }

    fn between(&mut self, token: u32, control: Option<Control>) -> Option<Event> {
        match control {
            Some(Control::Start) => self.start(),
            _ if !self.is_lenient => return self.fail(HarmonyError::ExpectedStart { token }),
            Some(by) if ends(by) => {}
            _ => {
                return self.in_header(self.header(RoleSource::Prompt), token, control);
            }
        }
        None
    }

    fn start(&mut self) {
        self.state = State::Header(self.header(RoleSource::FirstWord));
    }

    fn header(&self, source: RoleSource) -> HeaderText<'a> {
        HeaderText::new(self.tokenizer, source, self.is_lenient)
    }

    fn open(&mut self, header: HeaderText<'a>) -> Option<Event> {
        let header = match header.read(&self.role) {
            Ok(header) => header,
            Err(error) => return self.fail(error),
        };
        self.messages.push(header.clone().into());
        self.state = State::Content(TextStream::new(self.tokenizer));
        Some(Event::Message(header))
    }

    fn close(&mut self, mut stream: TextStream<'a>, by: Control) -> Event {
        let text = stream.finish();
        append(&mut self.messages, &text);
        Event::End { text, by }
    }

    fn end_bare(&mut self, header: HeaderText<'a>, by: Control) -> Option<Event> {
        let text = header.bare()?;
        self.messages.push(Message::new(self.role.clone(), text.clone()));
        Some(Event::End { text, by })
    }

    fn fail(&mut self, error: HarmonyError) -> Option<Event> {
        self.state = State::Failed(error);
        None
    }
}

fn ends(control: Control) -> bool {
    matches!(control, Control::End | Control::Return | Control::Call | Control::EndOfText)
}

fn append(messages: &mut [Message], text: &str) {
    if let Some(message) = messages.last_mut() {
        message.content += text;
    }
}
