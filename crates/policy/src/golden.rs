//! Golden cases: contents with the outcome that people agreed on, one JSON object a line.

use std::collections::HashMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::content::Content;
use crate::error::GoldenError;
use crate::policy::Policy;
use crate::rule::Side;

/// What people agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GoldenOutcome {
    /// It violates.
    Violation,
    /// It does not.
    Clear,
}

/// One line of a golden set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoldenCase {
    /// Unique in its set.
    pub id: String,
    /// What is judged: `text`, `prompt` with `reply`, or `messages`; `metadata` if wanted.
    #[serde(flatten)]
    pub content: Content,
    /// The outcome.
    pub outcome: GoldenOutcome,
    /// The rule, where people agreed on one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The language of the content, as a code such as `en`, where it matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lang: Option<String>,
    /// Why, for cases near the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Reads a golden set; empty lines are skipped.
///
/// # Errors
/// [`GoldenError`] with the first bad line.
pub fn parse_golden(text: &str) -> Result<Vec<GoldenCase>, GoldenError> {
    parse_golden_fully(text.as_bytes()).map_err(|mut errors| errors.swap_remove(0))
}

/// Reads a golden set and goes on after a bad line, so that all of them can be shown at once.
///
/// # Errors
/// One [`GoldenError`] for every bad line, in their order; there is at least one.
pub fn parse_golden_fully(bytes: &[u8]) -> Result<Vec<GoldenCase>, Vec<GoldenError>> {
    let (cases, errors) = read_golden(bytes);
    if errors.is_empty() { Ok(without_lines(cases)) } else { Err(errors) }
}

/// Reads a golden set and holds it against its policy: each rule is one of the policy's, and each outcome
/// is that of its rule's side.
///
/// # Errors
/// Every bad line, in the order of the file.
pub fn check_golden(bytes: &[u8], policy: &Policy) -> Result<Vec<GoldenCase>, Vec<GoldenError>> {
    let (cases, mut errors) = read_golden(bytes);
    errors.extend(cases.iter().filter_map(|(line, case)| case.misfit(policy, *line)));
    if errors.is_empty() {
        return Ok(without_lines(cases));
    }
    errors.sort_by_key(GoldenError::line);
    Err(errors)
}

fn without_lines(cases: Vec<(usize, GoldenCase)>) -> Vec<GoldenCase> {
    cases.into_iter().map(|(_, case)| case).collect()
}

/// The lines that can be read as cases, with their numbers, and what is wrong with lines.
pub(crate) fn read_golden(bytes: &[u8]) -> (Vec<(usize, GoldenCase)>, Vec<GoldenError>) {
    let mut cases = Vec::new();
    let mut errors = Vec::new();
    let mut lines: HashMap<String, usize> = HashMap::new();
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    for (line, bytes) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        match read_case(bytes, line) {
            Err(error) => errors.push(error),
            Ok(case) => {
                let first_line = *lines.entry(case.id.clone()).or_insert(line);
                if first_line != line {
                    let id = case.id.clone();
                    errors.push(GoldenError::DuplicateId { id, line, first_line });
                }
                cases.push((line, case));
            }
        }
    }
    (cases, errors)
}

/// A case before its content is looked at, so that what is missing is named.
#[derive(Deserialize)]
struct Frame {
    id: String,
    outcome: GoldenOutcome,
    #[serde(default)]
    rule: Option<String>,
    #[serde(default)]
    lang: Option<String>,
    #[serde(default)]
    note: Option<String>,
    /// A case is an object and no array.
    #[serde(flatten)]
    _others: HashMap<String, IgnoredAny>,
}

fn read_case(bytes: &[u8], line: usize) -> Result<GoldenCase, GoldenError> {
    let text = std::str::from_utf8(bytes).map_err(|_| GoldenError::NotText { line })?;
    let Frame { id, outcome, rule, lang, note, .. } =
        serde_json::from_str(text).map_err(|source| GoldenError::Json { line, source })?;
    let content: Content =
        serde_json::from_str(text).map_err(|_| GoldenError::NoContent { line })?;
    content.check().map_err(|source| GoldenError::Content { line, source })?;
    Ok(GoldenCase { id, content, outcome, rule, lang, note })
}

impl GoldenOutcome {
    /// Whether people agreed on a violation.
    pub fn is_violation(self) -> bool {
        self == GoldenOutcome::Violation
    }

    /// The side of the rules that lead to it.
    pub fn side(self) -> Side {
        match self {
            GoldenOutcome::Violation => Side::Violating,
            GoldenOutcome::Clear => Side::Safe,
        }
    }
}

impl GoldenCase {
    /// Why its rule cannot be what people agreed on under this policy.
    pub(crate) fn misfit(&self, policy: &Policy, line: usize) -> Option<GoldenError> {
        let rule = self.rule.as_ref()?;
        match policy.side(rule) {
            None => Some(GoldenError::UnknownRule { line, rule: rule.clone() }),
            Some(side) if side != self.outcome.side() => {
                Some(GoldenError::OtherSide { line, rule: rule.clone(), side })
            }
            Some(_) => None,
        }
    }
}
