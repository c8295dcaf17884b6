//! The probability of a violation in a server's log-probabilities: at the value's token, behind the thought.

use std::borrow::Cow;

use super::wire::TokenProb;

/// What OpenAI's API gives for a token outside the list, and lower.
const OUTSIDE: f64 = -9_000.0;
/// When the other digit is not in the list, the chosen one must have at least this much: then the score
/// is off by no more than the rest.
const ALONE: f64 = 0.99;
/// Text behind the value that must agree too.
const MAX_BEHIND: usize = 64;

/// The probability of `1` over `0` and `1` where the verdict says `"violation":`, or `None` when the
/// list does not tell. `verdict` is the final text: servers list the thought's tokens too.
pub(super) fn violation_score(tokens: &[TokenProb], verdict: &str) -> Option<f64> {
    let mut text = String::new();
    let mut starts = Vec::new();
    for token in tokens {
        starts.push(text.len());
        text += &piece(token);
    }
    let value = value_offset(verdict)?;
    // A character may be split between tokens, and each server renders halves in its own way: only what
    // stands before the first such character is compared. Quotes inside the verdict's strings are escaped,
    // so its beginning is not repeated behind it: the last place is the one.
    let n_ascii = verdict.bytes().position(|byte| !byte.is_ascii()).unwrap_or(verdict.len());
    let head = verdict.get(..n_ascii.min(value + MAX_BEHIND)).filter(|head| head.len() > value)?;
    let offset = text.rfind(head)? + value;
    let at = starts.partition_point(|&start| start <= offset).checked_sub(1)?;
    of_digits(&tokens[at], offset - starts[at])
}

/// The probability at one token, whose byte `within` is the digit.
fn of_digits(token: &TokenProb, within: usize) -> Option<f64> {
    let own = piece(token);
    let (mut zero, mut one) = (None, None);
    for other in token.top_logprobs.iter().flatten().chain([token]) {
        match digit_instead(own.as_bytes(), piece(other).as_bytes(), within) {
            Some(b'0') => zero = zero.or(Some(probability(other))),
            Some(b'1') => one = one.or(Some(probability(other))),
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

/// A token's text, by its bytes where the server gives them.
fn piece(token: &TokenProb) -> Cow<'_, str> {
    match token.bytes.as_deref() {
        Some(bytes) if !bytes.is_empty() => String::from_utf8_lossy(bytes),
        _ => Cow::Borrowed(&token.token),
    }
}

fn probability(token: &TokenProb) -> f64 {
    if token.logprob <= OUTSIDE { 0.0 } else { token.logprob.min(0.0).exp() }
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

#[cfg(test)]
mod tests {
    use super::*;

    const VERDICT: &str = r#"{"violation":1,"label":"A1","rationale":"é"}"#;

    fn token(text: &str, logprob: f64, others: &[(&str, f64)]) -> TokenProb {
        let top = others.iter().map(|(text, logprob)| token(text, *logprob, &[])).collect();
        TokenProb { token: text.to_owned(), logprob, bytes: None, top_logprobs: Some(top) }
    }

    fn plain(texts: &[&str]) -> Vec<TokenProb> {
        texts.iter().map(|text| token(text, -0.1, &[])).collect()
    }

    fn score(before: &[&str], value: TokenProb, after: &[&str]) -> Option<f64> {
        let mut tokens = plain(before);
        tokens.push(value);
        tokens.extend(plain(after));
        violation_score(&tokens, VERDICT)
    }

    const BEFORE: [&str; 2] = ["{\"violation", "\":"];
    const AFTER: [&str; 2] = [",\"label\":\"A1\",\"rationale\":\"é", "\"}"];

    fn ln(probability: f64) -> f64 {
        probability.ln()
    }

    #[test]
    fn the_score_is_one_over_both() {
        let value = || token("1", ln(0.6), &[("1", ln(0.6)), ("0", ln(0.2)), (" 1", ln(0.1))]);
        assert!((score(&BEFORE, value(), &AFTER).unwrap() - 0.75).abs() < 1e-12);
        let drafted = [r#"I would say {"violation":0,"label""#, "<|end|>", BEFORE[0], BEFORE[1]];
        assert!((score(&drafted, value(), &AFTER).unwrap() - 0.75).abs() < 1e-12);
        let joined = token(":1,", ln(0.6), &[(":0,", ln(0.2)), (":0", ln(0.1)), ("x1,", 0.0)]);
        let after = ["\"label\":\"A1\",\"rationale\":\"\u{fffd}", "\u{fffd}\"}<|return|>"];
        assert!((score(&["{\"violation\""], joined, &after).unwrap() - 0.75).abs() < 1e-12);
    }

    #[test]
    fn one_digit_alone_must_be_nearly_certain() {
        for (value, expected) in [
            (token("1", ln(0.995), &[]), Some(0.995)),
            (token("1", ln(0.98), &[("x", ln(0.01))]), None),
            (token("1", ln(0.98), &[("0", -9_999.0)]), Some(1.0)),
            (token("1", f64::MIN, &[("0", f64::MIN)]), None),
            (token("1", 3.0, &[]), Some(1.0)),
        ] {
            let found = score(&BEFORE, value, &AFTER);
            assert_eq!(
                found.map(|score| (score * 1e9).round()),
                expected.map(|score| (score * 1e9_f64).round())
            );
        }
        let zero = VERDICT.replace(":1,", ":0,");
        let mut tokens = plain(&BEFORE);
        tokens.push(token("0", ln(0.999), &[]));
        tokens.extend(plain(&AFTER));
        assert!((violation_score(&tokens, &zero).unwrap() - 0.001).abs() < 1e-9);
    }

    #[test]
    fn bytes_are_what_counts() {
        let mut value = token("?", ln(0.6), &[("?", ln(0.2))]);
        value.bytes = Some(b"1".to_vec());
        value.top_logprobs.as_mut().unwrap()[0].bytes = Some(b"0".to_vec());
        assert!((score(&BEFORE, value, &AFTER).unwrap() - 0.75).abs() < 1e-12);
    }

    #[test]
    fn a_list_of_other_tokens_tells_nothing() {
        let value = || token("1", ln(0.999), &[]);
        assert_eq!(score(&["the thought alone says "], value(), &[]), None);
        assert_eq!(score(&BEFORE, value(), &[",\"label\":\"A2\""]), None);
        assert_eq!(violation_score(&[], VERDICT), None);
        for verdict in ["", "{}", "\"violation\"", "\"violation\":", "{\"violation\":é"] {
            assert_eq!(violation_score(&plain(&[verdict]), verdict), None, "{verdict}");
        }
    }
}
