//! A generation, heard token by token up to its end, the deadline, or the moment when nobody waits any more.

use std::time::{Duration, Instant};

use engine::{Event, Finish, Generation, NoEvent, TokenEvent};
use model::tokenizer::{Control, TextStream, Tokenizer};
use policy::{AnswerToken, Cause, Observer, Usage};

use crate::local::engine_cause;
use crate::prompt::opening;
use crate::score::violation_score;

/// A reply, heard to its end or to the deadline.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) reasoning: String,
    pub(crate) answer: String,
    pub(crate) score: Option<f64>,
    pub(crate) end: End,
    pub(crate) usage: Usage,
}

/// How a reply ended.
#[derive(Default)]
pub(crate) enum End {
    #[default]
    Complete,
    Unfinished(Cause, String),
}

/// Hears a thought and the answer behind it.
pub(crate) fn listen(
    generation: &mut Generation,
    tokenizer: &Tokenizer,
    deadline: Option<Instant>,
    observer: &mut dyn Observer,
) -> Heard {
    let mut stream = TextStream::new(tokenizer);
    let header_len = opening(tokenizer, "final").len();
    // Tokens of the final header still to come; `None` while the model thinks.
    let mut header_left = None;
    let mut take =
        |heard: &mut Heard, event: &TokenEvent, observer: &mut dyn Observer| match &mut header_left
        {
            None if tokenizer.control_of(event.token) == Some(Control::End) => {
                hear_thought(heard, &stream.finish(), observer);
                header_left = Some(header_len);
            }
            None => hear_thought(heard, &stream.push(event.token), observer),
            Some(0) => {
                heard.score = heard.score.or_else(|| violation_score(tokenizer, event));
                let text = stream.push(event.token);
                heard.answer += &text;
                observer.answer(&answer_token(tokenizer, text, event));
            }
            Some(left) => *left -= 1,
        };
    let mut heard = hear(generation, deadline, observer, &mut take);
    heard.answer += &stream.finish();
    heard
}

/// What to make of a token.
type Take<'a> = dyn FnMut(&mut Heard, &TokenEvent, &mut dyn Observer) + 'a;

/// Hears a generation to its end or to the deadline, `take` every token.
pub(crate) fn hear(
    generation: &mut Generation,
    deadline: Option<Instant>,
    observer: &mut dyn Observer,
    take: &mut Take<'_>,
) -> Heard {
    let mut heard = Heard::default();
    loop {
        match next_event(generation, deadline, observer) {
            Ok(Event::Token(event)) => take(&mut heard, &event, observer),
            // Asked for by readings alone.
            Ok(Event::State(_)) => {}
            Ok(Event::Done(done)) => {
                heard.usage = usage_of(&done.usage);
                heard.end = end_of(&done.finish);
                return heard;
            }
            Err(end) => {
                generation.cancel();
                heard.end = end;
                return heard;
            }
        }
    }
}

/// What it took by the engine's counts, from its start to its end.
pub(crate) fn usage_of(usage: &engine::Usage) -> Usage {
    Usage {
        prompt_tokens: usage.prompt_tokens,
        cached_tokens: usage.cached_tokens,
        generated_tokens: usage.generated,
        seconds: usage.prefill_seconds + usage.decode_seconds,
    }
}

pub(crate) fn answer_token(tokenizer: &Tokenizer, text: String, event: &TokenEvent) -> AnswerToken {
    let spelled = |&(token, logprob): &(u32, f32)| {
        let bytes = tokenizer.bytes(token)?;
        Some((String::from_utf8_lossy(bytes).into_owned(), logprob))
    };
    let choices = event.choices.iter().filter_map(spelled).collect();
    AnswerToken { text, logprob: event.logprob, choices }
}

fn hear_thought(heard: &mut Heard, text: &str, observer: &mut dyn Observer) {
    if !text.is_empty() {
        heard.reasoning += text;
        observer.reasoning(text);
    }
}

/// How long a caller who is gone may go unnoticed while no token comes.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The next event, or why none will be waited for.
fn next_event(
    generation: &mut Generation,
    deadline: Option<Instant>,
    observer: &dyn Observer,
) -> Result<Event, End> {
    loop {
        if observer.is_cancelled() {
            let why = "whoever asked did not wait for it".to_owned();
            return Err(End::Unfinished(Cause::Cancelled, why));
        }
        let left = deadline
            .map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
        match generation.next_within(left.min(LOOK_EVERY)) {
            Ok(event) => return Ok(event),
            Err(NoEvent::TimedOut) if left > LOOK_EVERY => {}
            Err(NoEvent::TimedOut) => {
                let why = "the time allowed ran out".to_owned();
                return Err(End::Unfinished(Cause::Timeout, why));
            }
            Err(NoEvent::Ended) => {
                let why = "the engine ended without a word".to_owned();
                return Err(End::Unfinished(Cause::BackendError, why));
            }
        }
    }
}

fn end_of(finish: &Finish) -> End {
    match finish {
        Finish::GuideStop | Finish::Stop(_) => End::Complete,
        Finish::MaxTokens => {
            End::Unfinished(Cause::Truncated, "the reply ended before its verdict did".to_owned())
        }
        Finish::Failed(error) => End::Unfinished(engine_cause(error), error.to_string()),
        other => End::Unfinished(Cause::BackendError, format!("the generation ended as {other:?}")),
    }
}
