//! Who judges: the trait, and what a caller can set.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::content::Content;
use crate::policy::Policy;
use crate::verdict::Verdict;

/// How long a reasoning model should think.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    /// A line or two.
    Low,
    /// The models' own default.
    #[default]
    Medium,
    /// As long as it takes.
    High,
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High => "high",
        })
    }
}

/// How to judge one content.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgeSettings {
    /// Unset: what the policy's front matter says, or medium.
    pub effort: Option<Effort>,
    /// Fixes the marker and the sampling, so that a verdict can be repeated.
    pub seed: Option<u64>,
    /// 0 takes the most probable token.
    pub temperature: f32,
    /// Keeps the most probable tokens up to this sum.
    pub top_p: f32,
    /// Most tokens of analysis; unset: by effort.
    pub max_analysis_tokens: Option<usize>,
    /// Only outcome and score, in one pass over the content: no analysis, no rule, no rationale.
    pub direct: bool,
    /// Time allowed from call to verdict.
    pub timeout: Option<Duration>,
    /// Verdicts of which more than half decide, each with a seed of its own; 0 is 1.
    pub votes: u32,
    /// What the filter said that passed the content on, for a budget that may take its word.
    pub passed_on: Option<PassedOn>,
}

/// A filter's score of a content that it passed on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PassedOn {
    /// The score.
    pub score: f64,
    /// The threshold with the proven recall.
    pub proven: f64,
    /// The highest threshold that the policy's owner allows where compute is short.
    pub highest: f64,
}

impl Default for JudgeSettings {
    fn default() -> JudgeSettings {
        JudgeSettings {
            effort: None,
            seed: None,
            temperature: 0.0,
            top_p: 1.0,
            max_analysis_tokens: None,
            direct: false,
            timeout: None,
            votes: 1,
            passed_on: None,
        }
    }
}

impl JudgeSettings {
    /// What decides the verdict: not the time allowed, nor what a filter said before.
    pub fn deciding(&self) -> JudgeSettings {
        JudgeSettings { timeout: None, passed_on: None, ..self.clone() }
    }

    /// The same for what is asked next, once so much of the time allowed is spent.
    pub fn after(&self, spent: Duration) -> JudgeSettings {
        let timeout = self.timeout.map(|allowed| allowed.saturating_sub(spent));
        JudgeSettings { timeout, ..self.clone() }
    }

    /// The effort that holds for a policy.
    pub fn effort_for(&self, policy: &Policy) -> Effort {
        self.effort.or(policy.front.effort).unwrap_or_default()
    }
}

/// A token of a reply's last part.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerToken {
    /// Its text; empty where its bytes make a character only with the next.
    pub text: String,
    /// Natural logarithm of its probability among the tokens that the policy allowed; 0 where there was no choice.
    pub logprob: f32,
    /// The tokens allowed with theirs, where they were few.
    pub choices: Vec<(String, f32)>,
}

/// What an [`Observer`] hears, for who keeps it or hands it on.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// More of the analysis.
    Reasoning(String),
    /// More of the reply's last part.
    Answer(AnswerToken),
}

/// Raised when prompts or the way replies are read change, so that whoever keeps verdicts does not take old ones for
/// new.
pub const VERDICT_FORM: &str = "verdict 1";

/// Hears of a verdict in the making, and may call it off.
pub trait Observer {
    /// More of the analysis, as it is made.
    fn reasoning(&mut self, _text: &str) {}

    /// More of the reply's last part, which holds the verdict; from judges that see it token by token.
    fn answer(&mut self, _token: &AnswerToken) {}

    /// Whether nobody waits for the verdict any more. Asked often, so it must be quick; a judge that can stop
    /// then does, with [`crate::Cause::Cancelled`].
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// An observer that does not listen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}

/// Turns a policy and a content into a verdict. Whatever goes wrong is a verdict too:
/// [`crate::Outcome::Undetermined`].
pub trait Judge: Send + Sync {
    /// What answers, exactly: equal identities give equal verdicts for equal questions, as far as the judge can
    /// promise it. Verdicts are kept under it.
    fn identity(&self) -> String;

    /// Judges one content under one policy.
    fn judge(
        &self,
        policy: &Policy,
        content: &Content,
        settings: &JudgeSettings,
        observer: &mut dyn Observer,
    ) -> Verdict;
}

impl<J: Judge + ?Sized> Judge for Box<J> {
    fn identity(&self) -> String {
        (**self).identity()
    }

    fn judge(
        &self,
        policy: &Policy,
        content: &Content,
        settings: &JudgeSettings,
        observer: &mut dyn Observer,
    ) -> Verdict {
        (**self).judge(policy, content, settings, observer)
    }
}

impl<J: Judge + ?Sized> Judge for Arc<J> {
    fn identity(&self) -> String {
        (**self).identity()
    }

    fn judge(
        &self,
        policy: &Policy,
        content: &Content,
        settings: &JudgeSettings,
        observer: &mut dyn Observer,
    ) -> Verdict {
        (**self).judge(policy, content, settings, observer)
    }
}
