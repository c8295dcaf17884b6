//! What a policy file says to us and not to the model: TOML between two lines of `+++` at its top.

use serde::{Deserialize, Serialize};

use crate::error::PolicyError;
use crate::judge::Effort;

const FENCE: &str = "+++";
/// The fence of other tools' front matter, refused with a reason instead of being shown to the model.
const OTHER_FENCE: &str = "---";

/// The front matter's keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrontMatter {
    /// How long the model should think, unless the caller says otherwise.
    #[serde(default)]
    pub effort: Option<Effort>,
    /// The policy's date, `YYYY-MM-DD`: the only date that the model is told, so that prompts do not
    /// change from day to day.
    #[serde(default)]
    pub date: Option<String>,
    /// Who answers for the policy.
    #[serde(default)]
    pub owner: Option<String>,
    /// Codes of the linter that are silenced for this policy.
    #[serde(default)]
    pub lint_allow: Vec<String>,
}

/// A file cut at its front matter's fences.
pub(crate) struct Cut<'a> {
    /// What stands between the fences, if there are any.
    pub(crate) toml: Option<&'a str>,
    /// The text after them, to the end of the file.
    pub(crate) rest: &'a str,
    /// How many lines stand before that text.
    pub(crate) n_lines: usize,
}

/// Finds the fences.
///
/// # Errors
/// [`PolicyError::FrontMatter`] where the closing fence is missing, or is that of other tools.
pub(crate) fn cut(text: &str) -> Result<Cut<'_>, PolicyError> {
    let none = Cut { toml: None, rest: text, n_lines: 0 };
    let Some((first, rest)) = text.split_once('\n') else {
        return Ok(none);
    };
    let fault = |line, problem: String| PolicyError::FrontMatter { line, problem };
    if first.trim_end() == OTHER_FENCE && rest.lines().any(|line| line.trim_end() == OTHER_FENCE) {
        let problem = format!("it must be TOML between lines of {FENCE}, not {OTHER_FENCE}");
        return Err(fault(1, problem));
    }
    if first.trim_end() != FENCE {
        return Ok(none);
    }
    let mut end = 0;
    for (n_lines, line) in (2..).zip(rest.split_inclusive('\n')) {
        if line.trim_end() == FENCE {
            let (toml, rest) = (&rest[..end], &rest[end + line.len()..]);
            return Ok(Cut { toml: Some(toml), rest, n_lines });
        }
        end += line.len();
    }
    Err(fault(1, format!("the closing {FENCE} is missing")))
}

/// Reads what stands between the fences.
///
/// # Errors
/// [`PolicyError::FrontMatter`] for what is no TOML, unknown keys and dates that are none.
pub(crate) fn parse(toml: &str) -> Result<FrontMatter, PolicyError> {
    let front: FrontMatter = toml::from_str(toml).map_err(|error| {
        let line = error
            .span()
            .map_or(1, |span| toml[..span.start.min(toml.len())].matches('\n').count() + 2);
        PolicyError::FrontMatter { line, problem: error.message().to_owned() }
    })?;
    match &front.date {
        Some(date) if !is_date(date) => Err(PolicyError::FrontMatter {
            line: 1,
            problem: format!("date {date:?} is not of the form YYYY-MM-DD"),
        }),
        _ => Ok(front),
    }
}

fn is_date(text: &str) -> bool {
    text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() })
}
