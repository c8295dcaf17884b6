//! A verdict: what every judge answers, whoever it is.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::policy::PolicyId;
use crate::votes::Votes;

/// What was decided. An error is never [`Outcome::Clear`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "cause", rename_all = "snake_case")]
pub enum Outcome {
    /// A violating rule fits.
    Violation,
    /// No violating rule fits.
    Clear,
    /// No decision, and why.
    Undetermined(Cause),
}

/// Why there is no decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// The time allowed ran out.
    Timeout,
    /// The reply ended before its verdict did.
    Truncated,
    /// The reply is not of the form asked for.
    Unparseable,
    /// The reply cites a code that the policy does not have, or one of the other side.
    UnknownRule,
    /// The model would not answer.
    Refused,
    /// No compute was left for it.
    OverBudget,
    /// The content cannot be judged: too long, or of a kind that the judge cannot read.
    UnsupportedInput,
    /// The engine or the server failed.
    BackendError,
    /// Whoever asked did not wait for it.
    Cancelled,
    /// Of several votes, no more than half agree.
    NoMajority,
}

impl Outcome {
    /// Whether it is a violation; `None` where undetermined.
    pub fn is_violation(self) -> Option<bool> {
        match self {
            Outcome::Violation => Some(true),
            Outcome::Clear => Some(false),
            Outcome::Undetermined(_) => None,
        }
    }

    /// Its name and that of its cause, as files and wires have them.
    pub fn names(self) -> (&'static str, Option<String>) {
        match self {
            Outcome::Violation => ("violation", None),
            Outcome::Clear => ("clear", None),
            Outcome::Undetermined(cause) => ("undetermined", Some(cause.code())),
        }
    }
}

impl Cause {
    /// All of them.
    pub const ALL: [Cause; 10] = [
        Cause::Timeout,
        Cause::Truncated,
        Cause::Unparseable,
        Cause::UnknownRule,
        Cause::Refused,
        Cause::OverBudget,
        Cause::UnsupportedInput,
        Cause::BackendError,
        Cause::Cancelled,
        Cause::NoMajority,
    ];
}

impl Cause {
    /// Its name as files and wires have it: `over_budget`.
    pub fn code(self) -> String {
        self.to_string().replace(' ', "_")
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::Timeout => "timeout",
            Cause::Truncated => "truncated",
            Cause::Unparseable => "unparseable",
            Cause::UnknownRule => "unknown rule",
            Cause::Refused => "refused",
            Cause::OverBudget => "over budget",
            Cause::UnsupportedInput => "unsupported input",
            Cause::BackendError => "backend error",
            Cause::Cancelled => "cancelled",
            Cause::NoMajority => "no majority",
        })
    }
}

/// How a score was obtained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScoreMethod {
    /// The probability of `violation` over its two tokens.
    Logprob,
    /// The same, read off in one pass over the content: the model was not let reason, and cites no rule.
    Direct,
    /// The filter's own, before its threshold.
    Filter,
    /// There is no score.
    #[default]
    None,
}

/// The model's own word for how sure it is; no probability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// A person should look.
    Low,
    /// In between.
    Medium,
    /// Sure.
    High,
}

impl Confidence {
    /// Its name as files and wires have it.
    pub fn name(self) -> &'static str {
        match self {
            Confidence::Low => "low",
            Confidence::Medium => "medium",
            Confidence::High => "high",
        }
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// A small trained classifier that stopped the item at a proven recall.
    Filter,
    /// A small trained classifier that was shown to judge better than the reasoner here.
    Classifier,
    /// A reasoning model that read the policy.
    Reasoner,
}

impl Stage {
    /// Its name as files and wires have it.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Filter => "filter",
            Stage::Classifier => "classifier",
            Stage::Reasoner => "reasoner",
        }
    }
}

/// Which policy was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRef {
    /// Its name.
    pub name: String,
    /// SHA-256 of its file.
    pub id: PolicyId,
}

/// What a verdict took; of several votes, all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens of the prompt that were computed before, for another item.
    pub cached_tokens: usize,
    /// Tokens generated.
    pub generated_tokens: usize,
    /// Seconds from call to verdict.
    pub seconds: f64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Usage) {
        self.prompt_tokens += other.prompt_tokens;
        self.cached_tokens += other.cached_tokens;
        self.generated_tokens += other.generated_tokens;
        self.seconds += other.seconds;
    }
}

/// A judge's answer on one content under one policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The decision; in JSON the fields `outcome` and, where undetermined, `cause`.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The base code decided on.
    pub label: Option<String>,
    /// The rules it rests on.
    pub rule_ids: Vec<String>,
    /// Probability of a violation, 0 to 1.
    pub score: Option<f64>,
    /// Where the score comes from.
    pub score_method: ScoreMethod,
    /// The score calibrated, 0 to 1, where the policy has a calibration for this judge.
    pub probability: Option<f64>,
    /// The model's own word.
    pub confidence: Option<Confidence>,
    /// A sentence or two for reviewers.
    pub rationale: Option<String>,
    /// The analysis channel, for reviewers only.
    pub reasoning: String,
    /// Whether the analysis was cut off at its limit and the verdict asked for then.
    pub capped: bool,
    /// What went wrong, where undetermined; or what stood in the way of the usual course.
    pub detail: Option<String>,
    /// Who decided.
    pub stage: Stage,
    /// The policy applied.
    pub policy: PolicyRef,
    /// The model that answered.
    pub model: String,
    /// The random mark around the content in the prompt.
    pub marker: Option<String>,
    /// What it took.
    pub usage: Usage,
    /// The votes, where several were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub votes: Option<Votes>,
    /// What the budget took from it, in words: less effort, fewer votes, a wait.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given_up: Vec<String>,
    /// Why a person should look at it, in words, where the dearest judge asked is in doubt too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
}

impl Verdict {
    /// A verdict that decides nothing, for all that can go wrong.
    pub fn undetermined(
        cause: Cause,
        detail: impl Into<String>,
        policy: PolicyRef,
        model: &str,
    ) -> Verdict {
        let detail = Some(detail.into());
        Verdict { detail, ..Verdict::bare(Outcome::Undetermined(cause), policy, model) }
    }

    /// A verdict of a model with nothing but its outcome.
    pub fn bare(outcome: Outcome, policy: PolicyRef, model: &str) -> Verdict {
        Verdict {
            outcome,
            label: None,
            rule_ids: Vec::new(),
            score: None,
            score_method: ScoreMethod::None,
            probability: None,
            confidence: None,
            rationale: None,
            reasoning: String::new(),
            capped: false,
            detail: None,
            stage: Stage::Reasoner,
            policy,
            model: model.to_owned(),
            marker: None,
            usage: Usage::default(),
            votes: None,
            given_up: Vec::new(),
            doubts: Vec::new(),
        }
    }
}
