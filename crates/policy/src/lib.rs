//! The words of the project: policies, contents, verdicts, golden cases, and the trait of those who judge.
//!
//! Bytes come in as arguments and nothing is read or sent here; there are no tensors either. Start with
//! `policy.rs` (a Markdown file into coded rules) and `verdict.rs` (what every judge answers); `lint/`
//! finds what is wrong with a policy, `eval/` measures how well a judge answers.

mod content;
mod error;
pub mod eval;
mod example;
mod front_matter;
mod golden;
mod judge;
pub mod lint;
mod policy;
mod rule;
mod section;
mod verdict;
mod votes;

pub use content::{Content, Turn};
pub use error::{CalibrationError, ContentError, GoldenError, PolicyError};
pub use example::Example;
pub use front_matter::FrontMatter;
pub use golden::{GoldenCase, GoldenOutcome, check_golden, parse_golden, parse_golden_fully};
pub use judge::{
    AnswerToken, Effort, Heard, Judge, JudgeSettings, Observer, PassedOn, Silent, VERDICT_FORM,
};
pub use policy::{PROSE_LABEL, PROSE_SAFE_LABEL, Policy, PolicyId, hex};
pub use rule::{Rule, Side, label_of};
pub use verdict::{Cause, Confidence, Outcome, PolicyRef, ScoreMethod, Stage, Usage, Verdict};
pub use votes::{Majority, Votes};
