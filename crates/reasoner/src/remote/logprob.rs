//! The probability of a violation in a server's log-probabilities: at the value's token, behind the thought.

use super::wire::{Prob, TokenProb};

/// What OpenAI's API gives for a token outside the list.
const OUTSIDE: f64 = -9_000.0;
/// When the other digit is not in the list, the chosen one must have at least this much: then the score
/// is off by no more than the rest.
const ALONE: f64 = 0.99;

/// The probability of `1` over `0` and `1` where the verdict says `"violation":`, or `None` when the
/// list does not tell. `verdict` is the final text: servers list the thought's tokens too.
pub(super) fn violation_score(tokens: &[TokenProb], verdict: &str) -> Option<f64> {
    let mut text = Vec::new();
    let mut starts = Vec::new();
    for token in tokens {
        starts.push(text.len());
        text.extend_from_slice(bytes(&token.own));
    }
    let offset = rfind(&text, verdict.as_bytes())? + value_offset(verdict)?;
    let at = starts.partition_point(|&start| start <= offset) - 1;
    let within = offset - starts[at];
    let (mut zero, mut one) = (None, None);
    let token = &tokens[at];
    for prob in token.top_logprobs.iter().chain([&token.own]) {
        match digit_instead(bytes(&token.own), bytes(prob), within) {
            Some(b'0') => zero = zero.or(Some(probability(prob))),
            Some(b'1') => one = one.or(Some(probability(prob))),
            _ => {}
        }
    }
    match (zero, one) {
        (Some(zero), Some(one)) if zero + one > 0.0 => Some(one / (zero + one)),
        (None, Some(one)) if one >= ALONE => Some(one),
        (Some(zero), None) if zero >= ALONE => Some(1.0 - zero),
        _ => None,
    }
}

fn bytes(prob: &Prob) -> &[u8] {
    prob.bytes.as_deref().unwrap_or(prob.token.as_bytes())
}

fn probability(prob: &Prob) -> f64 {
    if prob.logprob <= OUTSIDE { 0.0 } else { prob.logprob.exp().min(1.0) }
}

/// Where the value of `violation` stands in the verdict.
fn value_offset(verdict: &str) -> Option<usize> {
    let key = "\"violation\"";
    let after_key = verdict.find(key)? + key.len();
    let rest = &verdict[after_key..];
    let value = rest.trim_start().strip_prefix(':')?.trim_start();
    Some(after_key + rest.len() - value.len())
}

/// The digit that `other` has at `within`, if it is `own` but for that digit.
fn digit_instead(own: &[u8], other: &[u8], within: usize) -> Option<u8> {
    let is_alike =
        own.len() == other.len() && (0..own.len()).all(|at| at == within || own[at] == other[at]);
    is_alike.then(|| other.get(within).copied()).flatten()
}

fn rfind(text: &[u8], wanted: &[u8]) -> Option<usize> {
    if wanted.is_empty() {
        return None;
    }
    (0..=text.len().checked_sub(wanted.len())?).rev().find(|&at| text[at..].starts_with(wanted))
}
