//! A decision: a verdict with everything needed to find it, to trust it and to repeat it.

use std::fmt;

use policy::{
    Confidence, Content, Effort, JudgeSettings, Outcome, Policy, PolicyRef, ScoreMethod, Stage,
    Usage, Verdict, Votes,
};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::id::{DecisionId, ItemId, JobId, KeyId};
use crate::seal::{Salt, Words};
use crate::time::Millis;

/// What the chain keeps of a decision: no content and nothing that quotes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Its id.
    pub id: DecisionId,
    /// When it was made.
    pub at: Millis,
    /// Where it comes from and whom it is for.
    #[serde(flatten)]
    pub origin: Origin,
    /// The job's item that it settles.
    pub job: Option<JobId>,
    /// As `job`.
    pub item: Option<ItemId>,
    /// The policy applied.
    pub policy: PolicyRef,
    /// The model that answered, as the verdict names it.
    pub model: String,
    /// How it was asked.
    pub sampling: Sampling,
    /// The random mark around the content in the prompt.
    pub marker: Option<String>,
    /// `text`, `exchange` or `conversation`.
    pub content_kind: String,
    /// Salted SHA-256 of the content's JSON; see `Salt`.
    pub content_digest: String,
    /// Salted SHA-256 of rationale, reasoning and detail.
    pub words_digest: String,
    /// Whether content and words were stored with it; if they are gone, an erasure is on record.
    #[serde(default)]
    pub content_kept: bool,
    /// The outcome; in JSON the fields `outcome` and, where undetermined, `cause`.
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
    /// The score calibrated, 0 to 1.
    pub probability: Option<f64>,
    /// The model's own word.
    pub confidence: Option<Confidence>,
    /// Whether the analysis was cut off at its limit.
    pub capped: bool,
    /// Who decided.
    pub stage: Stage,
    /// What it took.
    pub usage: Usage,
    /// The votes, where several were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub votes: Option<Votes>,
    /// What the budget took from it, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given_up: Vec<String>,
    /// Why a person should look at it, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
}

impl Decision {
    /// The verdict as it was, as far as its words are still known.
    pub fn verdict(&self, words: Option<Words>) -> Verdict {
        let words = words.unwrap_or_default();
        Verdict {
            outcome: self.outcome,
            label: self.label.clone(),
            rule_ids: self.rule_ids.clone(),
            score: self.score,
            score_method: self.score_method,
            probability: self.probability,
            confidence: self.confidence,
            rationale: words.rationale,
            reasoning: words.reasoning,
            capped: self.capped,
            detail: words.detail,
            stage: self.stage,
            policy: self.policy.clone(),
            model: self.model.clone(),
            marker: self.marker.clone(),
            usage: self.usage,
            votes: self.votes,
            given_up: self.given_up.clone(),
            doubts: self.doubts.clone(),
        }
    }

    /// Why a person should look at it: `undetermined`, or `doubtful` where the judge was not sure. What acted on
    /// nothing needs nobody.
    pub fn attention(&self) -> Option<&'static str> {
        let is_split = self.votes.is_some_and(|votes| !votes.are_unanimous());
        let is_unsure = self.confidence == Some(Confidence::Low);
        let is_doubtful = is_unsure || is_split || !self.doubts.is_empty();
        match self.outcome {
            _ if self.origin.shadow_of.is_some() => None,
            Outcome::Undetermined(_) => Some("undetermined"),
            _ if is_doubtful => Some("doubtful"),
            _ => None,
        }
    }
}

/// Where a decision comes from and whom it is for: what the verdict does not say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Whose it is.
    pub tenant: String,
    /// The API key that asked.
    pub key: Option<KeyId>,
    /// The route or command that asked, such as `/v1/classify`.
    pub source: String,
    /// The judge's identity ([`policy::Judge::identity`]).
    pub judge: String,
    /// SHA-256 of the prompt without the content, where the judge has one.
    pub prompt_hash: Option<String>,
    /// A candidate version judged what this decision had decided; it acted on nothing.
    pub shadow_of: Option<DecisionId>,
}

/// How the judge was asked: [`JudgeSettings`] as they came out for the policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// The effort that held.
    pub effort: Effort,
    /// The seed, where one was fixed.
    pub seed: Option<u64>,
    /// 0 takes the most probable token.
    pub temperature: f32,
    /// Keeps the most probable tokens up to this sum.
    pub top_p: f32,
    /// Most tokens of analysis; unset: by effort.
    pub max_analysis_tokens: Option<usize>,
    /// Whether only outcome and score were asked for.
    #[serde(default, skip_serializing_if = "is_reasoned")]
    pub direct: bool,
    /// Verdicts asked for, where there were several; 0 is one.
    #[serde(default, skip_serializing_if = "is_one_vote")]
    pub votes: u32,
}

/// One vote is left out, as in records from before there were more.
fn is_one_vote(votes: &u32) -> bool {
    *votes == 0
}

/// Left out where it reasoned, as in records from before it could be asked not to.
fn is_reasoned(direct: &bool) -> bool {
    !direct
}

impl Sampling {
    /// What holds for this policy.
    pub fn of(settings: &JudgeSettings, policy: &Policy) -> Sampling {
        Sampling {
            effort: settings.effort_for(policy),
            seed: settings.seed,
            temperature: settings.temperature,
            top_p: settings.top_p,
            // A direct verdict has no analysis.
            max_analysis_tokens: settings.max_analysis_tokens.filter(|_| !settings.direct),
            direct: settings.direct,
            votes: if settings.votes > 1 { settings.votes } else { 0 },
        }
    }

    /// Settings that ask again in the same way, without a time limit.
    pub fn settings(&self) -> JudgeSettings {
        JudgeSettings {
            effort: Some(self.effort),
            seed: self.seed,
            temperature: self.temperature,
            top_p: self.top_p,
            max_analysis_tokens: self.max_analysis_tokens,
            direct: self.direct,
            votes: self.votes.max(1),
            timeout: None,
            passed_on: None,
        }
    }
}

/// A decision to be stored.
#[derive(Clone)]
pub struct NewDecision {
    /// Chosen by the caller, so that a second try after a lost answer stores nothing twice.
    pub id: DecisionId,
    /// When it was made.
    pub at: Millis,
    /// Where it comes from.
    pub origin: Origin,
    /// How it was asked.
    pub sampling: Sampling,
    /// The verdict.
    pub verdict: Verdict,
    /// What was judged; stored only if `keep_content`.
    pub content: Content,
    /// Whether content, rationale and reasoning are stored. What a decision found can be looked up without.
    pub keep_content: bool,
}

/// Names the decision and leaves out what it quotes.
impl fmt::Debug for NewDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewDecision").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A decision ready for the chain, and what is kept apart from it.
pub(crate) struct SealedDecision {
    pub(crate) decision: Decision,
    pub(crate) salt: Salt,
    pub(crate) content: Option<String>,
    pub(crate) words: Option<String>,
}

impl NewDecision {
    pub(crate) fn seal(&self, item: Option<(&JobId, &ItemId)>) -> Result<SealedDecision> {
        let NewDecision { verdict, .. } = self;
        let salt = Salt::random()?;
        let content = serde_json::to_string(&self.content)?;
        let words = serde_json::to_string(&Words::of(verdict))?;
        let decision = Decision {
            id: self.id.clone(),
            at: self.at,
            origin: self.origin.clone(),
            job: item.map(|(job, _)| job.clone()),
            item: item.map(|(_, item)| item.clone()),
            policy: verdict.policy.clone(),
            model: verdict.model.clone(),
            sampling: self.sampling,
            marker: verdict.marker.clone(),
            content_kind: self.content.kind().to_owned(),
            content_digest: salt.digest("content", &content),
            words_digest: salt.digest("words", &words),
            content_kept: self.keep_content,
            outcome: verdict.outcome,
            label: verdict.label.clone(),
            rule_ids: verdict.rule_ids.clone(),
            score: verdict.score,
            score_method: verdict.score_method,
            probability: verdict.probability,
            confidence: verdict.confidence,
            capped: verdict.capped,
            stage: verdict.stage,
            usage: verdict.usage,
            votes: verdict.votes,
            given_up: verdict.given_up.clone(),
            doubts: verdict.doubts.clone(),
        };
        let kept = |text: String| self.keep_content.then_some(text);
        Ok(SealedDecision { decision, salt, content: kept(content), words: kept(words) })
    }
}

/// Which decisions; unset fields ask for all.
#[derive(Clone, Debug, Default)]
pub struct DecisionFilter {
    /// Of this tenant.
    pub tenant: Option<String>,
    /// Under the policy of this name.
    pub policy: Option<String>,
    /// Under this very text.
    pub policy_id: Option<String>,
    /// `violation`, `clear` or `undetermined`.
    pub outcome: Option<String>,
    /// Of this job.
    pub job: Option<JobId>,
    /// Made at this time or later.
    pub since: Option<Millis>,
    /// Made before.
    pub until: Option<Millis>,
}

/// A decision with its place in the chain.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredDecision {
    /// Its place, from 1.
    pub seq: i64,
    /// What the chain says.
    pub decision: Decision,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_had_no_analysis_is_recorded_without_a_cap_on_it() {
        let policy = Policy::parse("p", b"No advertising.").expect("a policy");
        for (direct, cap) in [(true, None), (false, Some(9))] {
            let max_analysis_tokens = Some(9);
            let settings =
                JudgeSettings { direct, max_analysis_tokens, ..JudgeSettings::default() };
            assert_eq!(Sampling::of(&settings, &policy).max_analysis_tokens, cap);
        }
    }
}
