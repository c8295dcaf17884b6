//! A reading: what the model makes of a policy and a content before it says anything about them.
//!
//! The prompt goes on, without analysis, up to the place in the final channel where the verdict's digit
//! stands. The model's state there, and the probability that it gives the digit, cost the prefill of the
//! content and nothing more. A trained head makes a verdict's forecast of them; by itself the probability
//! is that of a model which was not allowed to reason.

use std::collections::VecDeque;

use engine::{Event, Finish, Generation, Guide, Next, Request, TokenMask};
use model::tokenizer::{Control, Tokenizer};
use policy::{Content, Effort, Policy, Usage};

use crate::local::{LocalJudge, ReasonerError};
use crate::prompt::{Prompt, marker, n_prefix, opening};
use crate::score::violation_score;

/// What stands before the digit in every reply; see `grammar.rs`.
const BEFORE_DIGIT: &str = "{\"violation\":";
/// Readings under way at once: as many as the engine takes into a batch by default.
const IN_FLIGHT: usize = 32;

/// What the model makes of a content under a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The model's last layer behind the final norm, `[hidden]`, where the digit is chosen.
    pub state: Vec<f32>,
    /// The probability of a violation, told at once and without reasoning.
    pub score: f64,
    /// What it took; the one token generated is the digit.
    pub usage: Usage,
}

impl LocalJudge {
    /// Reads contents, many at once; the readings come in their order. A reading depends on policy, content and
    /// effort alone: the marker is derived from the content.
    ///
    /// # Errors
    /// For each content its own: [`ReasonerError::Content`], or [`ReasonerError::Engine`] where it is too long for
    /// the context or the engine fails.
    pub fn read(
        &self,
        policy: &Policy,
        contents: &[Content],
        effort: Effort,
    ) -> Vec<Result<Reading, ReasonerError>> {
        let mut readings = Vec::with_capacity(contents.len());
        let mut under_way = VecDeque::new();
        for content in contents {
            if under_way.len() == IN_FLIGHT {
                readings.extend(under_way.pop_front().map(|it| self.finish_reading(it)));
            }
            under_way.push_back(self.start_reading(policy, content, effort));
        }
        readings.extend(under_way.into_iter().map(|it| self.finish_reading(it)));
        readings
    }

    fn start_reading(
        &self,
        policy: &Policy,
        content: &Content,
        effort: Effort,
    ) -> Result<Generation, ReasonerError> {
        content.check()?;
        let marker = marker(content, Some(0)).map_err(ReasonerError::Random)?;
        let tokenizer = self.tokenizer();
        let mut prompt = Prompt::new(policy, content, effort, &marker).tokens(tokenizer);
        let n_prefix = n_prefix(&prompt, tokenizer);
        prompt.push(tokenizer.control(Control::End));
        prompt.extend(opening(tokenizer, "final"));
        prompt.extend(tokenizer.encode(BEFORE_DIGIT));
        let request = Request {
            guide: Some(Box::new(Digit(digits(tokenizer)))),
            n_prefix,
            report_state: true,
            ..Request::new(prompt, 1)
        };
        Ok(self.engine().submit(request)?)
    }

    fn finish_reading(
        &self,
        started: Result<Generation, ReasonerError>,
    ) -> Result<Reading, ReasonerError> {
        let mut generation = started?;
        let (mut state, mut score) = (Vec::new(), None);
        for event in generation.events() {
            match event {
                Event::State(values) => state = values,
                Event::Token(token) => score = violation_score(self.tokenizer(), &token),
                Event::Done(done) => {
                    if let Finish::Failed(error) = done.finish {
                        return Err(error.into());
                    }
                    let usage = Usage {
                        prompt_tokens: done.usage.prompt_tokens,
                        cached_tokens: done.usage.cached_tokens,
                        generated_tokens: done.usage.generated,
                        seconds: done.usage.prefill_seconds + done.usage.decode_seconds,
                    };
                    let score = score.ok_or(ReasonerError::NoDigit)?;
                    return Ok(Reading { state, score, usage });
                }
            }
        }
        Err(engine::EngineError::Stopped.into())
    }
}

/// The tokens of `0` and `1`.
fn digits(tokenizer: &Tokenizer) -> TokenMask {
    let tokens: Vec<u32> = ["0", "1"].iter().flat_map(|digit| tokenizer.encode(digit)).collect();
    TokenMask::of(&tokens)
}

/// Lets one of the digits be chosen.
struct Digit(TokenMask);

impl Guide for Digit {
    fn next(&mut self) -> Next {
        Next::Allow(self.0.clone())
    }

    fn accept(&mut self, _token: u32) {}
}
