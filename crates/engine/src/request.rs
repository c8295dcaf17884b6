//! What a caller asks for: a prompt, how to choose tokens, when to end.

use std::fmt;

use crate::error::EngineError;
use crate::guide::Guide;

/// One sequence to be continued.
pub struct Request {
    /// The prompt's tokens, control tokens included; at least one.
    pub prompt: Vec<u32>,
    /// Most tokens that the reply may have, forced ones included.
    pub max_tokens: usize,
    /// How each token is chosen.
    pub sampling: Sampling,
    /// Tokens that end the reply. They are part of it: each is reported before the end is.
    pub stop: Vec<u32>,
    /// Who steers the reply; `None` lets it run free.
    pub guide: Option<Box<dyn Guide>>,
    /// Tokens at the start of the prompt that later requests, in this process or another, will share: their keys
    /// and values are worth keeping on disk. Changes no token of the reply.
    pub n_prefix: usize,
    /// Whether the model's state where the first choice is made is reported before it, as [`crate::Event::State`].
    pub report_state: bool,
}

impl Request {
    /// Greedy, unguided, ended by `max_tokens` alone.
    pub fn new(prompt: Vec<u32>, max_tokens: usize) -> Request {
        Request {
            prompt,
            max_tokens,
            sampling: Sampling::default(),
            stop: Vec::new(),
            guide: None,
            n_prefix: 0,
            report_state: false,
        }
    }
}

impl fmt::Debug for Request {
    /// Lengths only: prompts are somebody's content, which never reaches a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("n_prompt", &self.prompt.len())
            .field("max_tokens", &self.max_tokens)
            .field("sampling", &self.sampling)
            .field("stop", &self.stop)
            .field("guided", &self.guide.is_some())
            .finish()
    }
}

/// How one token is chosen among those allowed.
///
/// The random number for a token depends on `seed` and the token's position alone, so a request
/// gives the same reply whatever runs beside it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the most probable token, the lowest id among equals.
    pub temperature: f32,
    /// Keeps the fewest most probable tokens that together reach this probability; 1 keeps all.
    pub top_p: f32,
    /// Start of the random stream.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Sampling {
        Sampling { temperature: 0.0, top_p: 1.0, seed: 0 }
    }
}

impl Sampling {
    /// # Errors
    ///
    /// [`EngineError::Sampling`] when the temperature is negative or not finite, or `top_p` is not in
    /// `(0, 1]`.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return Err(EngineError::Sampling {
                field: "temperature",
                found: self.temperature,
                expected: "finite and at least 0",
            });
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(EngineError::Sampling {
                field: "top_p",
                found: self.top_p,
                expected: "above 0 and at most 1",
            });
        }
        Ok(())
    }
}
