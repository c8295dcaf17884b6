//! The judge that asks a filter first, and never lets it go unwatched.
//!
//! A policy with a filter: what the filter stops is clear, but for the share that the audit takes; all
//! else goes to the judge behind. A policy without one goes there at once. Once the audit has found the
//! promise broken, the filter is passed by, unless the settings keep it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use policy::{
    Content, Judge, JudgeSettings, Observer, Outcome, Policy, PolicyId, ScoreMethod, Stage, Usage,
    Verdict,
};
use sha2::{Digest, Sha256};

use crate::audit::{Audit, Seen};
use crate::cache::{CacheCounts, Hit, Question, VerdictCache};
use crate::error::CascadeError;
use crate::filter::{Filter, readable};
use crate::text::normalise;

/// A filter in service.
#[derive(Debug)]
pub struct FilterStage {
    filter: Filter,
    policy: PolicyId,
    /// First bytes of the digest of the filter's file.
    name: String,
    watch: Option<Watch>,
}

/// The audit of a filter in service.
#[derive(Debug)]
struct Watch {
    audit: Mutex<Audit>,
    keep_on_alarm: bool,
}

impl FilterStage {
    /// A filter without an audit: for trying it out, not for traffic.
    ///
    /// # Errors
    /// [`CascadeError::Uncalibrated`] or [`CascadeError::Unbound`].
    pub fn unwatched(filter: Filter) -> Result<FilterStage, CascadeError> {
        if filter.about.calibration.is_none() {
            return Err(CascadeError::Uncalibrated);
        }
        let policy = filter.about.policy.as_ref().ok_or(CascadeError::Unbound)?.id.clone();
        let name = filter.print();
        Ok(FilterStage { filter, policy, name, watch: None })
    }

    /// The same filter watched by an audit that begins, or goes on. `keep_on_alarm` leaves the filter in
    /// service although its promise was found broken.
    ///
    /// # Errors
    /// [`CascadeError::ForeignAudit`] if the audit watches over another policy or promise.
    pub fn watched(self, audit: Audit, keep_on_alarm: bool) -> Result<FilterStage, CascadeError> {
        let settings = audit.settings();
        let promised = self.filter.about.calibration.as_ref().map(|it| it.chosen.recall);
        if promised != Some(settings.promise.recall()) || settings.policy != self.policy {
            return Err(CascadeError::ForeignAudit);
        }
        let watch = Some(Watch { audit: Mutex::new(audit), keep_on_alarm });
        Ok(FilterStage { watch, ..self })
    }

    /// The filter.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// What the audit knows by now.
    pub fn audit(&self) -> Option<Audit> {
        self.watch.as_ref().map(|watch| watch.audit().clone())
    }

    /// Whether everything goes on to the judge behind, since the promise was found broken.
    pub fn is_bypassed(&self) -> bool {
        self.watch.as_ref().is_some_and(Watch::is_bypassed)
    }

    fn judge(&self, policy: &Policy, content: &Content, next: impl FnOnce() -> Verdict) -> Verdict {
        let text = readable(content);
        let score = self.filter.score(&mut self.filter.featuriser(), &text).score;
        let passes = self.filter.passes(score);
        let Some(watch) = &self.watch else {
            return if passes { next() } else { self.stopped(policy, score) };
        };
        if passes {
            let verdict = next();
            watch.audit().record(Seen::passed_on(verdict.outcome));
            verdict
        } else if watch.is_bypassed() {
            next()
        } else if watch.takes(&text) {
            let verdict = next();
            watch.audit().record(Seen::audited(verdict.outcome));
            verdict
        } else {
            watch.audit().record(Seen::Stopped);
            self.stopped(policy, score)
        }
    }

    fn stopped(&self, policy: &Policy, score: f64) -> Verdict {
        let promised = self.filter.about.calibration.as_ref().map(|it| it.chosen);
        let rationale = promised.map(|it| {
            format!(
                "The filter finds nothing: its score is below {:.4}, where it passes on at least {} of what violates.",
                it.threshold, it.recall
            )
        });
        Verdict {
            outcome: Outcome::Clear,
            label: None,
            rule_ids: Vec::new(),
            score: Some(score),
            score_method: ScoreMethod::Filter,
            probability: None,
            confidence: None,
            rationale,
            reasoning: String::new(),
            capped: false,
            detail: None,
            stage: Stage::Filter,
            policy: policy.reference(),
            model: format!("filter {}", self.name),
            marker: None,
            usage: Usage::default(),
        }
    }
}

impl Watch {
    fn audit(&self) -> MutexGuard<'_, Audit> {
        locked(&self.audit)
    }

    fn is_bypassed(&self) -> bool {
        !self.keep_on_alarm && self.audit().alarm().is_some()
    }

    /// Whether a stopped text is judged all the same. Drawn by the text itself, so that the draw does
    /// not depend on the order of items.
    fn takes(&self, text: &str) -> bool {
        let digest = Sha256::digest(text);
        let id: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        self.audit().settings().is_audited(&id)
    }
}

/// Filters before another judge, and what was judged before in front of both.
pub struct CascadeJudge<J> {
    stages: HashMap<PolicyId, FilterStage>,
    next: J,
    identity: String,
    cache: Option<Mutex<VerdictCache<NormalForm>>>,
}

/// Turns a text into its normal form.
type NormalForm = fn(&str) -> String;

impl<J: Judge> CascadeJudge<J> {
    /// Each filter stands before `next` for the policy that it is bound to.
    pub fn new(stages: impl IntoIterator<Item = FilterStage>, next: J) -> CascadeJudge<J> {
        let stages: HashMap<PolicyId, FilterStage> =
            stages.into_iter().map(|stage| (stage.policy.clone(), stage)).collect();
        let mut names: Vec<&str> = stages.values().map(|stage| stage.name.as_str()).collect();
        names.sort_unstable();
        let identity = format!("filters {} before {}", names.join(" "), next.identity());
        CascadeJudge { stages, next, identity, cache: None }
    }

    /// The same with a memory of at most about `max_bytes`: a content that came before under the same
    /// policy and settings, letter for letter or in its normal form, gets the same verdict again, with a
    /// usage of nothing.
    pub fn remembering(self, max_bytes: usize) -> CascadeJudge<J> {
        let normal_form: NormalForm = |text| normalise(text).text;
        CascadeJudge { cache: Some(Mutex::new(VerdictCache::new(max_bytes, normal_form))), ..self }
    }

    /// What the memory did; `None` without one.
    pub fn cache_counts(&self) -> Option<CacheCounts> {
        self.cache.as_ref().map(|cache| locked(cache).counts())
    }

    /// The filter for a policy, if there is one.
    pub fn stage(&self, policy: &PolicyId) -> Option<&FilterStage> {
        self.stages.get(policy)
    }

    fn remembered(&self, question: &Question<'_>) -> Option<Verdict> {
        let hit = locked(self.cache.as_ref()?).look_up(question)?;
        let (Hit::Exact(verdict) | Hit::Normalised(verdict)) = hit;
        Some(Verdict { usage: Usage::default(), ..(*verdict).clone() })
    }

    /// What the filter stops is cheaper to stop again than to remember.
    fn remember(&self, question: &Question<'_>, verdict: &Verdict) {
        if let Some(cache) = self.cache.as_ref().filter(|_| verdict.stage == Stage::Reasoner) {
            locked(cache).remember(question, verdict);
        }
    }
}

impl<J: Judge> Judge for CascadeJudge<J> {
    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn judge(
        &self,
        policy: &Policy,
        content: &Content,
        settings: &JudgeSettings,
        observer: &mut dyn Observer,
    ) -> Verdict {
        let question = Question { policy: &policy.id, judge: &self.identity, settings, content };
        if let Some(verdict) = self.remembered(&question) {
            observer.reasoning(&verdict.reasoning);
            return Verdict { policy: policy.reference(), ..verdict };
        }
        let mut next = || self.next.judge(policy, content, settings, observer);
        let verdict = match self.stages.get(&policy.id) {
            Some(stage) => stage.judge(policy, content, next),
            None => next(),
        };
        self.remember(&question, &verdict);
        verdict
    }
}

/// What these locks guard is whole at every moment: counting does not panic halfway.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
