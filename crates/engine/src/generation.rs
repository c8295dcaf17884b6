//! The caller's end of one running request: events out, cancellation in.
//!
//! Events wait in a channel without a bound of its own, so a slow reader holds up nobody; a request
//! has at most `max_tokens` of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::error::EngineError;

/// One thing that happened to a request.
#[derive(Debug, Clone)]
pub enum Event {
    /// What the model made of all before the first choice, `[hidden]`: its last layer behind the final norm.
    /// Reported once, before the token chosen there, and only if the request asks for it.
    State(Vec<f32>),
    /// One more token of the reply.
    Token(TokenEvent),
    /// The end, always the last event, and always there.
    Done(Done),
}

/// One token of a reply.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenEvent {
    /// The token.
    pub token: u32,
    /// Natural logarithm of its probability at temperature 1 over the tokens that were allowed; 0
    /// for a forced one. Whatever the sampling's temperature and `top_p`.
    pub logprob: f32,
    /// Whether the guide put it there without a choice.
    pub forced: bool,
    /// When at most 16 tokens were allowed, each with its log-probability over these, lowest id
    /// first; empty otherwise, and for a forced token.
    pub choices: Vec<(u32, f32)>,
}

/// The end of a request.
#[derive(Debug, Clone)]
pub struct Done {
    /// Why it ended.
    pub finish: Finish,
    /// What it took.
    pub usage: Usage,
}

/// Why a request ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Finish {
    /// A stop token, which is the reply's last.
    Stop(u32),
    /// The guide said that the reply is complete.
    GuideStop,
    /// The reply has as many tokens as it may have.
    MaxTokens,
    /// The caller cancelled it.
    Cancelled,
    /// This request failed; its tokens so far are no complete reply.
    Failed(EngineError),
}

/// What a request took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens of the prompt whose keys and values were there already.
    pub cached_tokens: usize,
    /// Tokens of the reply, forced ones included.
    pub generated: usize,
    /// Tokens of the reply that came as they had been guessed.
    pub guessed: usize,
    /// Forward passes that computed any of its tokens.
    pub steps: usize,
    /// Seconds from submission to the first place in a batch.
    pub queue_seconds: f64,
    /// Seconds from there to the first token that was not forced.
    pub prefill_seconds: f64,
    /// Seconds from there to the end.
    pub decode_seconds: f64,
}

/// A reply, read to its end.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The tokens, as reported.
    pub tokens: Vec<TokenEvent>,
    /// The state behind the prompt, if it was asked for and there was a choice.
    pub state: Option<Vec<f32>>,
    /// Why there are no more.
    pub finish: Finish,
    /// What it took.
    pub usage: Usage,
}

/// Why [`Generation::next_within`] has no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoEvent {
    /// Nothing happened in the time given.
    TimedOut,
    /// The end was reported before.
    Ended,
}

/// A running request. Dropping it cancels the request.
#[derive(Debug)]
pub struct Generation {
    events: Receiver<Event>,
    canceller: Canceller,
    ended: bool,
}

impl Generation {
    pub(crate) fn new(events: Receiver<Event>, canceller: Canceller) -> Generation {
        Generation { events, canceller, ended: false }
    }

    /// The events still to come; each step waits for one, the last is [`Event::Done`].
    pub fn events(&mut self) -> impl Iterator<Item = Event> + '_ {
        std::iter::from_fn(|| {
            if self.ended {
                return None;
            }
            let event = self.events.recv().unwrap_or_else(|_| stopped());
            Some(self.note(event))
        })
    }

    /// The next event, if it comes within `timeout`.
    ///
    /// # Errors
    ///
    /// [`NoEvent`] says whether to ask again.
    pub fn next_within(&mut self, timeout: Duration) -> Result<Event, NoEvent> {
        if self.ended {
            return Err(NoEvent::Ended);
        }
        match self.events.recv_timeout(timeout) {
            Ok(event) => Ok(self.note(event)),
            Err(RecvTimeoutError::Timeout) => Err(NoEvent::TimedOut),
            Err(RecvTimeoutError::Disconnected) => Ok(self.note(stopped())),
        }
    }

    /// Reads to the end.
    pub fn wait(mut self) -> Reply {
        let (mut tokens, mut state) = (Vec::new(), None);
        let mut done =
            Done { finish: Finish::Failed(EngineError::Stopped), usage: Usage::default() };
        for event in self.events() {
            match event {
                Event::State(values) => state = Some(values),
                Event::Token(token) => tokens.push(token),
                Event::Done(end) => done = end,
            }
        }
        Reply { tokens, state, finish: done.finish, usage: done.usage }
    }

    /// Ends the request before its next step; it still reports [`Event::Done`]. Has no effect after
    /// the end.
    pub fn cancel(&self) {
        self.canceller.cancel();
    }

    /// A handle that cancels from elsewhere, a deadline's thread or a signal.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    fn note(&mut self, event: Event) -> Event {
        self.ended |= matches!(event, Event::Done(_));
        event
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        if !self.ended {
            self.cancel();
        }
    }
}

/// The engine's thread is gone and cannot say so itself.
fn stopped() -> Event {
    Event::Done(Done { finish: Finish::Failed(EngineError::Stopped), usage: Usage::default() })
}

/// Cancels one request.
#[derive(Debug, Clone, Default)]
pub struct Canceller {
    cancelled: Arc<AtomicBool>,
}

impl Canceller {
    /// Ends the request before its next step.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }
}

/// The three times of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    submitted: Instant,
    admitted: Option<Instant>,
    first_choice: Option<Instant>,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock { submitted: Instant::now(), admitted: None, first_choice: None }
    }

    /// A place in the batch was found; the first time counts.
    pub(crate) fn admitted(&mut self) {
        self.admitted.get_or_insert_with(Instant::now);
    }

    /// A token was chosen; the first time counts.
    pub(crate) fn chose(&mut self) {
        self.first_choice.get_or_insert_with(Instant::now);
    }

    pub(crate) fn write_to(&self, usage: &mut Usage) {
        let end = Instant::now();
        let admitted = self.admitted.unwrap_or(end);
        let first_choice = self.first_choice.unwrap_or(end);
        usage.queue_seconds = (admitted - self.submitted).as_secs_f64();
        usage.prefill_seconds = (first_choice - admitted).as_secs_f64();
        usage.decode_seconds = (end - first_choice).as_secs_f64();
    }
}
