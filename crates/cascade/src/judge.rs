//! The judge that asks filters first (`stage.rs`), and remembers what was judged before.
//!
//! A policy with a filter goes by it; a policy without one goes to the judge behind at once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use policy::{Content, Judge, JudgeSettings, Observer, Policy, PolicyId, Usage, Verdict};

use crate::cache::{CacheCounts, Hit, Question, Remembered, VerdictCache};
use crate::stage::FilterStage;
use crate::text::compared;

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
            stages.into_iter().map(|stage| (stage.policy().clone(), stage)).collect();
        let mut names: Vec<&str> = stages.values().map(|stage| stage.name()).collect();
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

    /// The same, where metadata decides nothing: see [`VerdictCache::ignoring_metadata`]. Without a memory nothing
    /// changes.
    pub fn ignoring_metadata(self) -> CascadeJudge<J> {
        let cache = self.cache.map(|cache| {
            let cache = cache.into_inner().unwrap_or_else(PoisonError::into_inner);
            Mutex::new(cache.ignoring_metadata())
        });
        CascadeJudge { cache, ..self }
    }

    /// What is remembered, used longest ago first; nothing without a memory.
    pub fn remembered(&self) -> Vec<Remembered> {
        self.cache.as_ref().map_or_else(Vec::new, |cache| locked(cache).remembered().collect())
    }

    /// Takes in what an earlier memory held.
    pub fn restore(&self, all: impl IntoIterator<Item = Remembered>) {
        let Some(cache) = &self.cache else { return };
        let mut cache = locked(cache);
        for one in all {
            cache.restore(one);
        }
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
        // What a budget took from it, it might have the next time.
        if verdict.given_up.is_empty() {
            locked(cache).remember(&question, &verdict);
        }
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
        let mut next = |passed_on| {
            let settings = JudgeSettings { passed_on, ..settings.clone() };
            self.recall_or_judge(policy, content, &settings, observer)
        };
        match self.stages.get(&policy.id) {
            Some(stage) => stage.judge(policy, content, next),
            None => next(None),
        }
    }
}

/// What these locks guard is whole at every moment: counting does not panic halfway.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
