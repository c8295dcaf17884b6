//! Golden cases: contents with the outcome that people agreed on, one JSON object a line.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::content::Content;
use crate::error::GoldenError;

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
    golden_lines(text).collect()
}

/// Reads a golden set and goes on after a bad line, so that all of them can be shown at once.
///
/// # Errors
/// One [`GoldenError`] for every bad line, in their order.
pub fn parse_golden_fully(text: &str) -> Result<Vec<GoldenCase>, Vec<GoldenError>> {
    let mut cases = Vec::new();
    let mut errors = Vec::new();
    for line in golden_lines(text) {
        match line {
            Ok(case) => cases.push(case),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(cases) } else { Err(errors) }
}

fn golden_lines(text: &str) -> impl Iterator<Item = Result<GoldenCase, GoldenError>> {
    let mut lines: HashMap<String, usize> = HashMap::new();
    let lines_with_text = (1..).zip(text.split('\n')).filter(|(_, text)| !text.trim().is_empty());
    lines_with_text.map(move |(line, text)| {
        let case: GoldenCase =
            serde_json::from_str(text).map_err(|source| GoldenError::Json { line, source })?;
        case.content.check().map_err(|source| GoldenError::Content { line, source })?;
        if let Some(&first_line) = lines.get(&case.id) {
            return Err(GoldenError::DuplicateId { id: case.id, line, first_line });
        }
        lines.insert(case.id.clone(), line);
        Ok(case)
    })
}
