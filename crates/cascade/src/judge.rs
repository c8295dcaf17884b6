//! The judge that asks a filter first, and never lets it go unwatched.
//!
//! A policy with a filter: what the filter stops is clear, but for the share that the audit takes; all
//! else goes to the judge behind. A policy without one goes there at once. Once the audit has found the
//! promise broken, the filter is passed by, unless the settings keep it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use policy::{
    Content, Judge, JudgeSettings, Observer, Outcome, Policy, PolicyId, ScoreMethod, Stage, Usage,
    Verdict, hex,
};
use sha2::{Digest, Sha256};

use crate::audit::{Audit, Seen};
use crate::cache::{CacheCounts, Hit, Question, VerdictCache};
use crate::encoder::Encoder;
use crate::error::CascadeError;
use crate::filter::{Filter, readable};
use crate::text::compared;

/// A filter in service.
pub struct FilterStage {
    filter: Filter,
    /// What the filter reads vectors with, if it reads any.
    encoder: Option<Arc<dyn Encoder>>,
    policy: PolicyId,
    /// First bytes of the digest of the filter's file.
    name: String,
    watch: Option<Watch>,
}

/// The audit of a filter in service.
#[derive(Debug)]
struct Watch {
    audit: Mutex<Audit>,
    /// Prints of the texts counted so far in this run: a text that comes again is no new draw.
    counted: Mutex<HashSet<u64>>,
    keep_on_alarm: bool,
}

impl FilterStage {
    /// A filter without an audit: for trying it out, not for traffic. A filter that reads vectors needs its encoder.
    ///
    /// # Errors
    /// [`CascadeError::Uncalibrated`], [`CascadeError::Unbound`], and those of [`Filter::scorer`].
    pub fn unwatched(
        filter: Filter,
        encoder: Option<Arc<dyn Encoder>>,
    ) -> Result<FilterStage, CascadeError> {
        if filter.about.calibration.is_none() {
            return Err(CascadeError::Uncalibrated);
        }
        let policy = filter.about.policy.as_ref().ok_or(CascadeError::Unbound)?.id.clone();
        let name = filter.print();
        filter.scorer(encoder.as_deref())?;
        Ok(FilterStage { filter, encoder, policy, name, watch: None })
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
        let watch =
            Some(Watch { audit: Mutex::new(audit), counted: Mutex::default(), keep_on_alarm });
        Ok(FilterStage { watch, ..self })
    }

    /// The filter.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// What tells the filter from others: [`Filter::print`].
    pub fn name(&self) -> &str {
        &self.name
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
        if self.is_bypassed() {
            let passed_by = "the filter was passed by: its audit found the promise broken";
            let verdict = next();
            return Verdict {
                detail: verdict.detail.or_else(|| Some(passed_by.to_owned())),
                ..verdict
            };
        }
        let text = readable(content);
        // What the filter cannot score, it cannot stop.
        let (score, failure) = match self.score(&text) {
            Ok(score) => (score, None),
            Err(error) => (1.0, Some(format!("the filter failed: {error}"))),
        };
        let passes = failure.is_some() || self.filter.passes(score);
        let watch = self.watch.as_ref().map(|watch| (watch, Sha256::digest(&text).into()));
        let count = |seen: Seen| watch.iter().for_each(|(watch, text)| watch.count(text, seen));
        if passes {
            let verdict = next();
            count(Seen::passed_on(verdict.outcome));
            Verdict { detail: verdict.detail.or(failure), ..verdict }
        } else if watch.is_some_and(|(watch, text)| watch.takes(&text)) {
            let verdict = next();
            count(Seen::audited(verdict.outcome));
            verdict
        } else {
            count(Seen::Stopped);
            self.stopped(policy, score)
        }
    }

    fn score(&self, text: &str) -> Result<f64, CascadeError> {
        Ok(self.filter.scorer(self.encoder.as_deref())?.score(text)?.score)
    }

    fn stopped(&self, policy: &Policy, score: f64) -> Verdict {
        let is_broken = self.watch.as_ref().is_some_and(|watch| watch.audit().alarm().is_some());
        let doubt = if is_broken { " Its audit has found that promise broken." } else { "" };
        let rationale = self.filter.about.calibration.as_ref().map(|it| {
            let chosen = it.chosen;
            format!(
                "The filter finds nothing: its score is below {:.4}, from where it passes on at least {} of what \
                 violates, at confidence {}.{doubt}",
                chosen.threshold, chosen.recall, it.confidence
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

/// Texts are known by their digests here.
impl Watch {
    fn audit(&self) -> MutexGuard<'_, Audit> {
        locked(&self.audit)
    }

    fn is_bypassed(&self) -> bool {
        !self.keep_on_alarm && self.audit().alarm().is_some()
    }

    /// Whether a stopped text is judged all the same. Drawn by the text itself, so that the draw does
    /// not depend on the order of items.
    fn takes(&self, text: &[u8; 32]) -> bool {
        self.audit().settings().is_audited(&hex(text))
    }

    /// Counts a text the first time that it comes.
    fn count(&self, text: &[u8; 32], seen: Seen) {
        let print = u64::from_le_bytes(text[..8].try_into().expect("a digest has eight bytes"));
        let mut counted = locked(&self.counted);
        if counted.len() >= MAX_COUNTED {
            counted.clear();
        }
        if counted.insert(print) {
            self.audit().record(seen);
        }
    }
}

/// Most texts remembered as counted, some 30 MB.
const MAX_COUNTED: usize = 1 << 21;

/// Filters before another judge, and between them what was judged before.
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
    /// policy and settings, letter for letter or but for case and spaces, gets the same verdict again, with
    /// a usage of nothing.
    pub fn remembering(self, max_bytes: usize) -> CascadeJudge<J> {
        let normal_form: NormalForm = compared;
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

    /// What was judged before, or the judge behind.
    fn recall_or_judge(
        &self,
        policy: &Policy,
        content: &Content,
        settings: &JudgeSettings,
        observer: &mut dyn Observer,
    ) -> Verdict {
        let Some(cache) = &self.cache else {
            return self.next.judge(policy, content, settings, observer);
        };
        let question = Question { policy: &policy.id, judge: &self.identity, settings, content };
        let hit = locked(cache).look_up(&question);
        if let Some(Hit::Exact(verdict) | Hit::Normalised(verdict)) = hit {
            observer.reasoning(&verdict.reasoning);
            return Verdict {
                policy: policy.reference(),
                usage: Usage::default(),
                ..(*verdict).clone()
            };
        }
        let verdict = self.next.judge(policy, content, settings, observer);
        locked(cache).remember(&question, &verdict);
        verdict
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
        let mut next = || self.recall_or_judge(policy, content, settings, observer);
        match self.stages.get(&policy.id) {
            Some(stage) => stage.judge(policy, content, next),
            None => next(),
        }
    }
}

/// What these locks guard is whole at every moment: counting does not panic halfway.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
