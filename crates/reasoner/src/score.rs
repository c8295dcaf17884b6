//! The probability of a violation: read off where the model chose between 0 and 1.

use engine::TokenEvent;
use model::tokenizer::Tokenizer;

/// If this token is the choice between `0` and `1`, the probability of `1` over the two.
pub(crate) fn violation_score(tokenizer: &Tokenizer, event: &TokenEvent) -> Option<f64> {
    let [first, second] = event.choices.as_slice() else { return None };
    let digit = |token: u32| tokenizer.bytes(token);
    let logprob = match (digit(first.0)?, digit(second.0)?) {
        (b"0", b"1") => second.1,
        (b"1", b"0") => first.1,
        _ => return None,
    };
    Some(f64::from(logprob).exp())
}
