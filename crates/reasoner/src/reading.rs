//! A reading: what the model makes of a policy and a content before it says anything about them.
//!
//! The model's state at the place where a direct verdict's digit stands (`direct.rs`), and the probability that it
//! gives the digit, cost the prefill of the content and nothing more. A trained head makes a verdict's forecast of them.

use std::collections::VecDeque;

use engine::{Event, Finish, Generation, Request};
use policy::{Content, Effort, Policy, Usage};

use crate::direct::digit_request;
use crate::hear::usage_of;
use crate::local::{LocalJudge, ReasonerError};
use crate::prompt::marker;
use crate::score::violation_score;

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
        let request = digit_request(policy, content, effort, &marker, self.tokenizer());
        Ok(self.engine().submit(Request { report_state: true, ..request })?)
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
                    let score = score.ok_or(ReasonerError::NoDigit)?;
                    return Ok(Reading { state, score, usage: usage_of(&done.usage) });
                }
            }
        }
        Err(engine::EngineError::Stopped.into())
    }
}
