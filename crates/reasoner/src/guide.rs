//! Steers a reply: free thought up to a limit, then the final channel bound by the policy's grammar.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::{Grammar, Guide, Next};
use model::tokenizer::{Control, Tokenizer};

use crate::prompt::opening;

/// The guide of one reply.
pub(crate) struct ReplyGuide {
    state: State,
    /// Tokens of thought that may still come.
    n_left: usize,
    end: u32,
    /// What ends the thought and opens the final channel.
    bridge: Vec<u32>,
    /// Control tokens that have no place in a thought: all but `<|end|>`.
    forbidden: Vec<u32>,
    grammar: Grammar,
    /// Told to the judge: the thought was cut off.
    capped: Arc<AtomicBool>,
}

#[derive(PartialEq)]
enum State {
    Thinking,
    /// Tokens of the bridge that have not come yet.
    Crossing(usize),
    Answering,
}

impl ReplyGuide {
    pub(crate) fn new(
        tokenizer: &Tokenizer,
        grammar: Grammar,
        max_analysis: usize,
        capped: Arc<AtomicBool>,
    ) -> ReplyGuide {
        let end = tokenizer.control(Control::End);
        let mut bridge = vec![end];
        bridge.extend(opening(tokenizer, "final"));
        let is_frame = |&token: &u32| token != end && tokenizer.bytes(token).is_none();
        let forbidden = (0..tokenizer.vocab_size() as u32).filter(is_frame).collect();
        ReplyGuide {
            state: State::Thinking,
            n_left: max_analysis,
            end,
            bridge,
            forbidden,
            grammar,
            capped,
        }
    }
}

impl Guide for ReplyGuide {
    fn next(&mut self) -> Next {
        match self.state {
            State::Thinking if self.n_left == 0 => {
                self.capped.store(true, Ordering::Relaxed);
                Next::Force(self.bridge.clone())
            }
            State::Thinking => Next::Forbid(self.forbidden.clone()),
            State::Crossing(n_left) => {
                Next::Force(self.bridge[self.bridge.len() - n_left..].to_vec())
            }
            State::Answering => self.grammar.ask(),
        }
    }

    fn accept(&mut self, token: u32) {
        match &mut self.state {
            State::Thinking if token == self.end => {
                self.state = State::Crossing(self.bridge.len() - 1)
            }
            State::Thinking => self.n_left -= 1,
            State::Crossing(1) => self.state = State::Answering,
            State::Crossing(n_left) => *n_left -= 1,
            // A grammar that was left reports it when it is asked next.
            State::Answering => drop(self.grammar.accept(token)),
        }
    }
}
