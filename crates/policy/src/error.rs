//! Why text is no policy, no content, no golden case or no calibration: with the place, so that
//! people can go there.

use crate::rule::Side;

/// What is wrong with a policy file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Nothing but spaces, or front matter alone.
    #[error("the policy is empty")]
    Empty,
    /// More text than any model can read beside a content.
    #[error("the policy has {n_bytes} bytes; the most is {limit}")]
    TooLong {
        /// Bytes of the file.
        n_bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Bytes that are no text.
    #[error("line {line}: the policy is not UTF-8 text")]
    NotText {
        /// The line of the first bad byte, from 1.
        line: usize,
    },
    /// Front matter that is not closed, not TOML, or has unknown keys.
    #[error("line {line}: the front matter cannot be read: {problem}")]
    FrontMatter {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// Two rules with one code.
    #[error("line {line}: the code {code} was given to the rule in line {first_line} already")]
    DuplicateCode {
        /// The code.
        code: String,
        /// The second rule's line.
        line: usize,
        /// The first rule's line.
        first_line: usize,
    },
    /// A base code with rules on both sides.
    #[error(
        "line {line}: {label} is violating in line {first_line} and safe here, or the reverse; one label has one side"
    )]
    MixedSides {
        /// The base code.
        label: String,
        /// The later rule's line.
        line: usize,
        /// The earlier rule's line.
        first_line: usize,
    },
    /// Only safe rules.
    #[error("the policy has safe rules only, so nothing could violate it")]
    NothingViolates,
}

/// What is wrong with a conversation or an exchange given as JSON.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// Not the JSON of a content.
    #[error("the content is not readable JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Nothing to judge.
    #[error("the content is empty")]
    Empty,
    /// A metadata key or value that spans lines, or a key that could be taken for the fence.
    #[error("the metadata {key:?} cannot be written as one line `key: value`")]
    Metadata {
        /// The key.
        key: String,
    },
}

/// What is wrong with a line of a golden set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GoldenError {
    /// Bytes that are no text.
    #[error("line {line}: the line is not UTF-8 text")]
    NotText {
        /// The line, from 1.
        line: usize,
    },
    /// Not the JSON of a case.
    #[error("line {line}: {source}")]
    Json {
        /// The line, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// A case whose content has none of the three forms.
    #[error(
        "line {line}: there is no content: give `text`, `prompt` with `reply`, or `messages` with `role` and `text` each; `metadata` is an object"
    )]
    NoContent {
        /// The line, from 1.
        line: usize,
    },
    /// A case without anything to judge, or with bad metadata.
    #[error("line {line}: {source}")]
    Content {
        /// The line, from 1.
        line: usize,
        /// Why.
        source: ContentError,
    },
    /// Two cases with one id.
    #[error("line {line}: the id {id} was given in line {first_line} already")]
    DuplicateId {
        /// The id.
        id: String,
        /// The second case's line.
        line: usize,
        /// The first case's line.
        first_line: usize,
    },
    /// A rule that the policy does not have.
    #[error("line {line}: the policy has no rule {rule}")]
    UnknownRule {
        /// The line, from 1.
        line: usize,
        /// The code.
        rule: String,
    },
    /// A violation under a safe rule, or the reverse.
    #[error("line {line}: {rule} is a {side} rule, and the outcome says otherwise")]
    OtherSide {
        /// The line, from 1.
        line: usize,
        /// The code.
        rule: String,
        /// The rule's side.
        side: Side,
    },
}

impl GoldenError {
    /// The line that it is about, from 1.
    pub fn line(&self) -> usize {
        match self {
            GoldenError::NotText { line }
            | GoldenError::Json { line, .. }
            | GoldenError::NoContent { line }
            | GoldenError::Content { line, .. }
            | GoldenError::DuplicateId { line, .. }
            | GoldenError::UnknownRule { line, .. }
            | GoldenError::OtherSide { line, .. } => *line,
        }
    }
}

/// What is wrong with a saved calibration.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CalibrationError {
    /// Zero, negative or not finite.
    #[error("the temperature is {t}; it must be above 0 and finite")]
    Temperature {
        /// The temperature.
        t: f64,
    },
    /// No point, or coordinates without their other half.
    #[error("the curve has {n_x} x and {n_y} y; it takes as many of each, and at least one")]
    Points {
        /// Numbers given as `x`.
        n_x: usize,
        /// Numbers given as `y`.
        n_y: usize,
    },
    /// A coordinate that is no probability.
    #[error("point {point} of the curve does not lie between 0 and 1")]
    OutOfRange {
        /// The point, from 0.
        point: usize,
    },
    /// A point left of or below the one before it.
    #[error("point {point} of the curve does not come after the one before it, or falls below it")]
    Falls {
        /// The point, from 0.
        point: usize,
    },
}
