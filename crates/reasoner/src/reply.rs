//! What an answer means: JSON of the final channel into a label, rules and reasons, or why it is none.

use policy::{Cause, Confidence, Outcome, Policy, PolicyRef, ScoreMethod, Side, Verdict};
use serde::Deserialize;

use crate::schema::MAX_RULES;

/// Longest code that a message repeats.
const MAX_CODE: usize = 32;

/// A valid answer under one policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The decision.
    pub outcome: Outcome,
    /// The base code.
    pub label: String,
    /// The rules cited, all of the label's side.
    pub rule_ids: Vec<String>,
    /// The model's own word.
    pub confidence: Confidence,
    /// Its reason in a sentence.
    pub rationale: String,
}

/// Why an answer is no verdict. No message repeats more of the answer than a code: an answer may quote the
/// content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// Not the JSON object asked for.
    #[error("the reply is not the JSON object asked for: {}", problem(.0))]
    Form(serde_json::Error),
    /// `violation` is neither 0 nor 1.
    #[error("violation is {0}, neither 0 nor 1")]
    Violation(i64),
    /// A code that the policy does not have.
    #[error("the reply cites {}, which is no code of the policy", shown(.code))]
    UnknownCode {
        /// The code.
        code: String,
    },
    /// A code of the other side than `violation` says.
    #[error("the reply says violation {violation} and cites {code}, which is on the {side} side")]
    WrongSide {
        /// What it says.
        violation: i64,
        /// The code.
        code: String,
        /// The code's side.
        side: Side,
    },
    /// No rule, or too many.
    #[error("the reply cites {0} rules; it must be 1 to {MAX_RULES}")]
    RuleCount(usize),
}

impl ReplyError {
    /// The cause to report.
    pub fn cause(&self) -> Cause {
        match self {
            ReplyError::Form(_) | ReplyError::Violation(_) | ReplyError::RuleCount(_) => {
                Cause::Unparseable
            }
            ReplyError::UnknownCode { .. } | ReplyError::WrongSide { .. } => Cause::UnknownRule,
        }
    }
}

#[derive(Deserialize)]
struct Form {
    violation: i64,
    label: String,
    rule_ids: Vec<String>,
    confidence: Confidence,
    rationale: String,
}

/// Reads an answer.
///
/// # Errors
/// [`ReplyError`] for anything that is not exactly a verdict under this policy.
pub fn parse_reply(policy: &Policy, text: &str) -> Result<Reply, ReplyError> {
    let form: Form = serde_json::from_str(text.trim()).map_err(ReplyError::Form)?;
    let (outcome, wanted) = match form.violation {
        1 => (Outcome::Violation, Side::Violating),
        0 => (Outcome::Clear, Side::Safe),
        other => return Err(ReplyError::Violation(other)),
    };
    if !(1..=MAX_RULES).contains(&form.rule_ids.len()) {
        return Err(ReplyError::RuleCount(form.rule_ids.len()));
    }
    let known_label = policy.labels().find(|(label, _)| *label == form.label);
    check(form.violation, &form.label, known_label.map(|(_, side)| side), wanted)?;
    for code in &form.rule_ids {
        check(form.violation, code, policy.side(code), wanted)?;
    }
    Ok(Reply {
        outcome,
        label: form.label,
        rule_ids: form.rule_ids,
        confidence: form.confidence,
        rationale: form.rationale,
    })
}

fn check(violation: i64, code: &str, side: Option<Side>, wanted: Side) -> Result<(), ReplyError> {
    match side {
        None => Err(ReplyError::UnknownCode { code: code.to_owned() }),
        Some(side) if side != wanted => {
            Err(ReplyError::WrongSide { violation, code: code.to_owned(), side })
        }
        Some(_) => Ok(()),
    }
}

/// What serde says, without the values that it repeats.
fn problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("invalid ") || text.starts_with("unknown ") {
        let (line, column) = (error.line(), error.column());
        return format!("a value that is not allowed at line {line} column {column}");
    }
    text
}

/// Something cited, if it could be a code at all.
fn shown(code: &str) -> &str {
    let is_code = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    if code.len() <= MAX_CODE && code.bytes().all(is_code) { code } else { "something" }
}

impl Reply {
    /// The verdict that this answer is.
    pub(crate) fn into_verdict(
        self,
        score: Option<f64>,
        policy: PolicyRef,
        model: &str,
    ) -> Verdict {
        Verdict {
            label: Some(self.label),
            rule_ids: self.rule_ids,
            score,
            score_method: if score.is_some() { ScoreMethod::Logprob } else { ScoreMethod::None },
            confidence: Some(self.confidence),
            rationale: Some(self.rationale),
            ..Verdict::bare(self.outcome, policy, model)
        }
    }
}
