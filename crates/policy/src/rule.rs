//! A coded rule: one line of a policy.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which side of the policy's line a rule is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Contents that fit violate the policy.
    Violating,
    /// Contents that fit are allowed.
    Safe,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Violating => "violating",
            Side::Safe => "safe",
        })
    }
}

/// A rule with its code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// As replies cite it: `CH3`, `CH0.a`.
    pub code: String,
    /// The short name before the colon, if there is one.
    pub name: Option<String>,
    /// The test.
    pub text: String,
    /// Its side.
    pub side: Side,
    /// Its line in the file, from 1.
    pub line: usize,
}

impl Rule {
    /// The base code: what stands before the first dot.
    pub fn label(&self) -> &str {
        label_of(&self.code)
    }

    /// Reads `- CODE Name: text` or `- CODE text`; `None` for any other line.
    pub(crate) fn parse(line: &str, side: Side, number: usize) -> Option<Rule> {
        let item = line.strip_prefix("- ").or_else(|| line.strip_prefix("* "))?;
        let (code, rest) = item.trim_start().split_once([' ', ':'])?;
        let code = code.trim_end_matches(':');
        if !is_code(code) {
            return None;
        }
        let rest = rest.trim();
        let (name, text) = match rest.split_once(':') {
            Some((name, text)) if is_name(name) && !text.trim().is_empty() => {
                (Some(name.trim().to_owned()), text.trim())
            }
            _ => (None, rest),
        };
        let is_empty = text.is_empty();
        (!is_empty).then(|| Rule {
            code: code.to_owned(),
            name,
            text: text.to_owned(),
            side,
            line: number,
        })
    }
}

/// The base code of any code: what stands before the first dot.
pub fn label_of(code: &str) -> &str {
    code.split('.').next().unwrap_or(code)
}

/// Longest name before a colon; a longer one is a sentence with a colon in it.
const MAX_NAME: usize = 40;

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= MAX_NAME && !text.contains(['.', '"'])
}

/// Capital letters, digits and hyphens with at least one digit, then perhaps a dot and a lower-case part.
pub(crate) fn is_code(text: &str) -> bool {
    let (base, part) = text.split_once('.').map_or((text, None), |(base, part)| (base, Some(part)));
    let is_base = base.len() <= 16
        && base.starts_with(|letter: char| letter.is_ascii_uppercase())
        && base.ends_with(|letter: char| letter.is_ascii_digit())
        && base
            .chars()
            .all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '-');
    let is_part = |part: &str| {
        !part.is_empty()
            && part.len() <= 8
            && part.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
    };
    is_base && part.is_none_or(is_part)
}
