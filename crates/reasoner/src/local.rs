//! The judge that runs a model in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use engine::{Engine, EngineError, Generation, Request, Sampling};
use model::tokenizer::Tokenizer;
use policy::{
    Cause, Content, Effort, Judge, JudgeSettings, Observer, Policy, PolicyRef, Usage, Verdict,
};

use crate::direct::{self, digit_request, hear_digit};
use crate::grammar::reply_grammar;
use crate::guide::ReplyGuide;
use crate::hear::{End, Heard, listen};
use crate::prompt::{Prompt, marker, n_prefix};
use crate::reply::parse_reply;

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
            ReasonerError::Random(_) => Cause::BackendError,
            // Another try would end alike.
            ReasonerError::NoDigit => Cause::Unparseable,
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
        let sampling = Sampling {
            temperature: settings.temperature,
            top_p: settings.top_p,
            seed: settings.seed.unwrap_or(0),
        };
        let capped = Arc::new(AtomicBool::new(false));
        if settings.direct {
            let request = digit_request(policy, content, effort, &marker, self.tokenizer());
            let generation = self.engine.submit(Request { sampling, ..request })?;
            return Ok(Started { generation, marker, capped });
        }
        let prompt = Prompt::new(policy, content, effort, &marker).tokens(self.tokenizer());
        let n_prefix = n_prefix(&prompt, self.tokenizer());
        let grammar = self.engine.grammars()?.lark(&reply_grammar(policy))?;
        let max_analysis = settings
            .max_analysis_tokens
            .unwrap_or(default_cap(effort))
            .min(self.room(prompt.len()));
        let guide = ReplyGuide::new(self.tokenizer(), grammar, max_analysis, Arc::clone(&capped));
        let request = Request {
            max_tokens: max_analysis + FINAL_TOKENS,
            sampling,
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
        let hear = if settings.direct { hear_digit } else { listen };
        let heard = hear(&mut started.generation, self.tokenizer(), deadline, observer);
        let mut verdict = if settings.direct {
            direct::decide(&heard, about, model)
        } else {
            decide(policy, &heard, about, model)
        };
        verdict.marker = Some(started.marker);
        verdict.capped = started.capped.load(Ordering::Relaxed);
        verdict.usage = Usage { seconds: start.elapsed().as_secs_f64(), ..heard.usage };
        verdict.reasoning = heard.reasoning;
        verdict
    }
}

pub(crate) fn engine_cause(error: &EngineError) -> Cause {
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
