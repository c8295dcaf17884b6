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
use crate::error::CascadeError;
use crate::filter::{Filter, readable};

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
        // Counting does not panic halfway.
        self.audit.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Filters before another judge.
pub struct CascadeJudge<J> {
    stages: HashMap<PolicyId, FilterStage>,
    next: J,
}

impl<J: Judge> CascadeJudge<J> {
    /// Each filter stands before `next` for the policy that it is bound to.
    pub fn new(stages: impl IntoIterator<Item = FilterStage>, next: J) -> CascadeJudge<J> {
        let stages = stages.into_iter().map(|stage| (stage.policy.clone(), stage)).collect();
        CascadeJudge { stages, next }
    }

    /// The filter for a policy, if there is one.
    pub fn stage(&self, policy: &PolicyId) -> Option<&FilterStage> {
        self.stages.get(policy)
    }

    /// All filters in service.
    pub fn stages(&self) -> impl Iterator<Item = &FilterStage> {
        self.stages.values()
    }
}

impl<J: Judge> Judge for CascadeJudge<J> {
    fn identity(&self) -> String {
        let mut names: Vec<&str> = self.stages.values().map(|stage| stage.name.as_str()).collect();
        names.sort_unstable();
        format!("filters {} before {}", names.join(" "), self.next.identity())
    }

    fn judge(
        &self,
        policy: &Policy,
        content: &Content,
        settings: &JudgeSettings,
        observer: &mut dyn Observer,
    ) -> Verdict {
        let mut next = || self.next.judge(policy, content, settings, observer);
        match self.stages.get(&policy.id) {
            Some(stage) => stage.judge(policy, content, next),
            None => next(),
        }
    }
}
