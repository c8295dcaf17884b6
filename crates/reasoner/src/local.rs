//! The judge that runs a model in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use engine::{
    Engine, EngineError, Event, Finish, Generation, NoEvent, Request, Sampling, TokenEvent,
};
use model::tokenizer::{Control, TextStream, Tokenizer};
use policy::{
    AnswerToken, Cause, Content, Effort, Judge, JudgeSettings, Observer, Policy, PolicyRef, Usage,
    Verdict,
};

use crate::grammar::reply_grammar;
use crate::guide::ReplyGuide;
use crate::prompt::{Prompt, marker, n_prefix, opening};
use crate::reply::parse_reply;
use crate::score::violation_score;

/// Room for the verdict behind the analysis: the header, codes, and 400 characters of rationale at the
/// worst rate of a token a byte.
pub(crate) const FINAL_TOKENS: usize = 1_800;

/// Why a request could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReasonerError {
    /// The content cannot be shown.
    #[error(transparent)]
    Content(#[from] policy::ContentError),
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// No random numbers for the marker.
    #[error("the system has no random numbers: {0}")]
    Random(getrandom::Error),
    /// The tokenizer writes a digit as something else than one token.
    #[error("this model's tokenizer has no token for each of the digits 0 and 1")]
    NoDigit,
}

impl ReasonerError {
    fn cause(&self) -> Cause {
        match self {
            ReasonerError::Content(_) => Cause::UnsupportedInput,
            ReasonerError::Engine(error) => engine_cause(error),
            ReasonerError::Random(_) | ReasonerError::NoDigit => Cause::BackendError,
        }
    }
}

/// Judges with a local engine. Many threads may judge at once: the engine computes them together.
#[derive(Debug)]
pub struct LocalJudge {
    engine: Engine,
}

impl LocalJudge {
    /// A judge over an engine.
    pub fn new(engine: Engine) -> LocalJudge {
        LocalJudge { engine }
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn tokenizer(&self) -> &Tokenizer {
        self.engine.model().tokenizer()
    }

    fn start(
        &self,
        policy: &Policy,
        content: &Content,
        settings: &JudgeSettings,
    ) -> Result<Started, ReasonerError> {
        content.check()?;
        let marker = marker(content, settings.seed).map_err(ReasonerError::Random)?;
        let effort = settings.effort_for(policy);
        let prompt = Prompt::new(policy, content, effort, &marker).tokens(self.tokenizer());
        let n_prefix = n_prefix(&prompt, self.tokenizer());
        let grammar = self.engine.grammars()?.lark(&reply_grammar(policy))?;
        let max_analysis = settings
            .max_analysis_tokens
            .unwrap_or(default_cap(effort))
            .min(self.room(prompt.len()));
        let capped = Arc::new(AtomicBool::new(false));
        let guide = ReplyGuide::new(self.tokenizer(), grammar, max_analysis, Arc::clone(&capped));
        let request = Request {
            max_tokens: max_analysis + FINAL_TOKENS,
            sampling: Sampling {
                temperature: settings.temperature,
                top_p: settings.top_p,
                seed: settings.seed.unwrap_or(0),
            },
            guide: Some(Box::new(guide)),
            n_prefix,
            ..Request::new(prompt, 0)
        };
        Ok(Started { generation: self.engine.submit(request)?, marker, capped })
    }

    /// Tokens of analysis that leave room for the verdict in the context.
    fn room(&self, n_prompt: usize) -> usize {
        self.engine.context_len().saturating_sub(n_prompt + FINAL_TOKENS)
    }
}

/// Most tokens of analysis, unless the caller says otherwise: what the models need at each effort in
/// nearly all cases.
fn default_cap(effort: Effort) -> usize {
    match effort {
        Effort::Low => 512,
        Effort::Medium => 2_048,
        Effort::High => 8_192,
    }
}

struct Started {
    generation: Generation,
    marker: String,
    capped: Arc<AtomicBool>,
}

impl Judge for LocalJudge {
    fn identity(&self) -> String {
        format!("local {}", self.engine.identity())
    }

    fn judge(
        &self,
        policy: &Policy,
        content: &Content,
        settings: &JudgeSettings,
        observer: &mut dyn Observer,
    ) -> Verdict {
        let start = Instant::now();
        let about = policy.reference();
        let model = self.engine.model().name();
        let mut started = match self.start(policy, content, settings) {
            Ok(started) => started,
            Err(error) => {
                return Verdict::undetermined(error.cause(), error.to_string(), about, model);
            }
        };
        let deadline = settings.timeout.and_then(|timeout| start.checked_add(timeout));
        let heard = listen(&mut started.generation, self.tokenizer(), deadline, observer);
        let mut verdict = decide(policy, &heard, about, model);
        verdict.marker = Some(started.marker);
        verdict.capped = started.capped.load(Ordering::Relaxed);
        verdict.usage = Usage { seconds: start.elapsed().as_secs_f64(), ..heard.usage };
        verdict.reasoning = heard.reasoning;
        verdict
    }
}

/// A reply, heard to its end or to the deadline.
struct Heard {
    reasoning: String,
    answer: String,
    score: Option<f64>,
    end: End,
    usage: Usage,
}

enum End {
    Complete,
    Unfinished(Cause, String),
}

fn listen(
    generation: &mut Generation,
    tokenizer: &Tokenizer,
    deadline: Option<Instant>,
    observer: &mut dyn Observer,
) -> Heard {
    let mut heard = Heard {
        reasoning: String::new(),
        answer: String::new(),
        score: None,
        end: End::Complete,
        usage: Usage::default(),
    };
    let mut stream = TextStream::new(tokenizer);
    let header_len = opening(tokenizer, "final").len();
    // Tokens of the final header still to come; `None` while the model thinks.
    let mut header_left = None;
    loop {
        match next_event(generation, deadline, observer) {
            Ok(Event::Token(event)) => match &mut header_left {
                None if tokenizer.control_of(event.token) == Some(Control::End) => {
                    hear_thought(&mut heard, &stream.finish(), observer);
                    header_left = Some(header_len);
                }
                None => hear_thought(&mut heard, &stream.push(event.token), observer),
                Some(0) => {
                    heard.score = heard.score.or_else(|| violation_score(tokenizer, &event));
                    let text = stream.push(event.token);
                    heard.answer += &text;
                    observer.answer(&answer_token(tokenizer, text, &event));
                }
                Some(left) => *left -= 1,
            },
            // Asked for by no reply.
            Ok(Event::State(_)) => {}
            Ok(Event::Done(done)) => {
                heard.answer += &stream.finish();
                heard.usage.prompt_tokens = done.usage.prompt_tokens;
                heard.usage.cached_tokens = done.usage.cached_tokens;
                heard.usage.generated_tokens = done.usage.generated;
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

fn answer_token(tokenizer: &Tokenizer, text: String, event: &TokenEvent) -> AnswerToken {
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

fn engine_cause(error: &EngineError) -> Cause {
    match error {
        EngineError::PromptTooLong { .. } | EngineError::EmptyPrompt => Cause::UnsupportedInput,
        EngineError::ContextFull { .. } => Cause::Truncated,
        EngineError::KvFull { .. } | EngineError::QueueFull { .. } => Cause::OverBudget,
        _ => Cause::BackendError,
    }
}

fn decide(policy: &Policy, heard: &Heard, about: PolicyRef, model: &str) -> Verdict {
    if let End::Unfinished(cause, detail) = &heard.end {
        return Verdict::undetermined(*cause, detail.clone(), about, model);
    }
    match parse_reply(policy, &heard.answer) {
        Err(error) => Verdict::undetermined(error.cause(), error.to_string(), about, model),
        Ok(reply) => reply.into_verdict(heard.score, about, model),
    }
}
