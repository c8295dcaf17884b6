//! Direct scoring: the verdict's digit alone, with no analysis before it and no reasons behind it.
//!
//! The prompt goes on, with an empty analysis, up to the place in the final channel where the digit stands, so that
//! one pass over the content tells the probability of a violation. It is that of a model which was not allowed to
//! reason, and no rule is cited.

use std::time::Instant;

use engine::{Generation, Guide, Next, Request, TokenMask};
use model::tokenizer::{Control, Tokenizer};
use policy::{
    AnswerToken, Cause, Content, Effort, Observer, Outcome, Policy, PolicyRef, ScoreMethod, Verdict,
};

use crate::hear::{End, Heard, answer_token, hear};
use crate::prompt::{Prompt, n_prefix, opening};
use crate::score::violation_score;

/// What stands before the digit in every reply; see `grammar.rs`.
const BEFORE_DIGIT: &str = "{\"violation\":";
/// What ends the object where nothing but the digit is asked for.
const BEHIND_DIGIT: &str = "}";

/// Asks for the digit, the most probable unless the sampling is set otherwise.
pub(crate) fn digit_request(
    policy: &Policy,
    content: &Content,
    effort: Effort,
    marker: &str,
    tokenizer: &Tokenizer,
) -> Request {
    let mut prompt = Prompt::new(policy, content, effort, marker).tokens(tokenizer);
    let n_prefix = n_prefix(&prompt, tokenizer);
    prompt.push(tokenizer.control(Control::End));
    prompt.extend(opening(tokenizer, "final"));
    prompt.extend(tokenizer.encode(BEFORE_DIGIT));
    let guide = Digit { digits: digits(tokenizer), has_come: false };
    Request { guide: Some(Box::new(guide)), n_prefix, ..Request::new(prompt, 1) }
}

/// Hears the digit; the answer is the object that it stands in.
pub(crate) fn hear_digit(
    generation: &mut Generation,
    tokenizer: &Tokenizer,
    deadline: Option<Instant>,
    observer: &mut dyn Observer,
) -> Heard {
    hear(generation, deadline, observer, &mut |heard, event, observer| {
        heard.score = violation_score(tokenizer, event);
        let digit = tokenizer.bytes(event.token).unwrap_or_default();
        let digit = String::from_utf8_lossy(digit).into_owned();
        heard.answer = format!("{BEFORE_DIGIT}{digit}{BEHIND_DIGIT}");
        observer.answer(&given(BEFORE_DIGIT));
        observer.answer(&answer_token(tokenizer, digit, event));
        observer.answer(&given(BEHIND_DIGIT));
    })
}

/// A part of the answer that the model had no choice in.
fn given(text: &str) -> AnswerToken {
    AnswerToken { text: text.to_owned(), logprob: 0.0, choices: Vec::new() }
}

/// The verdict that a digit is: an outcome and its score, and no reasons.
pub(crate) fn decide(heard: &Heard, about: PolicyRef, model: &str) -> Verdict {
    let none = |cause, detail: &str| Verdict::undetermined(cause, detail, about.clone(), model);
    if let End::Unfinished(cause, detail) = &heard.end {
        return none(*cause, detail);
    }
    let digit = heard.answer.strip_prefix(BEFORE_DIGIT);
    let outcome = match digit.and_then(|rest| rest.strip_suffix(BEHIND_DIGIT)) {
        Some("1") => Outcome::Violation,
        Some("0") => Outcome::Clear,
        _ => return none(Cause::Unparseable, "the reply is neither 0 nor 1"),
    };
    if heard.score.is_none() {
        return none(Cause::Unparseable, "the digits have no probabilities");
    }
    Verdict {
        score: heard.score,
        score_method: ScoreMethod::Direct,
        ..Verdict::bare(outcome, about, model)
    }
}

/// The tokens of `0` and `1`.
fn digits(tokenizer: &Tokenizer) -> TokenMask {
    let tokens: Vec<u32> = ["0", "1"].iter().flat_map(|digit| tokenizer.encode(digit)).collect();
    TokenMask::of(&tokens)
}

/// Lets one of the digits be chosen, and ends there.
struct Digit {
    digits: TokenMask,
    has_come: bool,
}

impl Guide for Digit {
    fn next(&mut self) -> Next {
        if self.has_come { Next::Stop } else { Next::Allow(self.digits.clone()) }
    }

    fn accept(&mut self, _token: u32) {
        self.has_come = true;
    }
}
