//! What all routes share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join_all};
use policy::{Content, JudgeSettings, Outcome, Verdict};
use store::{DecisionId, Store};

use super::classify::Action;
use crate::door::{Caller, Door};
use crate::error::ApiError;
use crate::guard::Guard;
use crate::jobs::Jobs;
use crate::metrics::Metrics;
use crate::pool::{Class, Pool, Task};
use crate::recorder::{Asked, Recorder, TENANT};
use crate::selector::Chosen;
use crate::serve::Before;
use crate::settings::{OnUndetermined, ServerSettings, duration};
use crate::shadow::Shadows;
use crate::shelf::{Served, Shelf};
use crate::stored::StoredPolicies;

/// The service's parts.
pub(crate) struct App {
    pub(crate) settings: ServerSettings,
    /// How each content is judged, unless its request says otherwise.
    pub(crate) judging: JudgeSettings,
    pub(crate) scores_directly: bool,
    /// The judge's model, by the name that people know.
    pub(crate) model: String,
    pub(crate) door: Door,
    pub(crate) shelf: Shelf,
    pub(crate) stored: Arc<StoredPolicies>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) metrics: Arc<Metrics>,
    /// Before another chat model, where the settings name one.
    pub(crate) guard: Option<Arc<Guard>>,
    pub(crate) before: Option<Arc<dyn Before>>,
    /// Where decisions go; without a store, nowhere.
    pub(crate) recorder: Option<Arc<Recorder>>,
    pub(crate) jobs: Jobs,
    /// Candidates beside live policies; without a store there are none.
    pub(crate) shadows: Option<Arc<Shadows>>,
    pub(crate) is_stopping: AtomicBool,
}

/// One pair of item and policy.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) chosen: Chosen,
    pub(crate) content: Arc<Content>,
}

impl App {
    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// For how long an item is a worker's.
    pub(crate) fn lease(&self) -> Duration {
        duration(self.settings.jobs.lease_s)
    }

    /// When a request that allows this much time has to have its answer.
    pub(crate) fn deadline(&self, asked: Option<Duration>) -> Instant {
        Instant::now() + asked.unwrap_or(duration(self.settings.limits.deadline_s))
    }

    /// The policies that a caller may use: those of its tenant in the store, then the folder's.
    ///
    /// # Errors
    /// [`ApiError::StoreUnreadable`].
    pub(crate) async fn served(&self, caller: &Caller) -> Result<Arc<Served>, ApiError> {
        let stored = self.stored.of(caller.tenant()).await?;
        let folder = self.folder_of(caller);
        let bound = caller.bound_to();
        if stored.active.is_empty() && bound.is_none() {
            return Ok(folder);
        }
        let mut policies = folder.policies.clone();
        policies.extend(stored.active.clone());
        policies.retain(|name, _| bound.is_none_or(|names| names.contains(name)));
        Ok(Arc::new(Served { policies, faults: Vec::new(), is_bound: bound.is_some() }))
    }

    /// What of the folder a caller may use.
    pub(crate) fn folder_of(&self, caller: &Caller) -> Arc<Served> {
        match caller.tenant() == TENANT || self.settings.share_policies {
            true => self.shelf.folder(),
            false => Arc::default(),
        }
    }

    /// The store.
    ///
    /// # Errors
    /// [`ApiError::NoStore`] where there is none.
    pub(crate) fn store(&self) -> Result<&Store, ApiError> {
        self.recorder.as_ref().map(|recorder| &recorder.store).ok_or(ApiError::NoStore)
    }

    /// The verdicts on all pairs, in order. Dropping the future takes the work back.
    ///
    /// # Errors
    /// [`ApiError::TooMany`], and where the caller's quota or the queue does not take them.
    pub(crate) async fn judge(
        &self,
        caller: &Caller,
        class: Class,
        pairs: Vec<Pair>,
        settings: &JudgeSettings,
        deadline: Instant,
    ) -> Result<Vec<Verdict>, ApiError> {
        self.check_count(pairs.len())?;
        caller.take(pairs.len()).await?;
        let task = |pair: Pair| Task {
            class,
            key: caller.key().cloned(),
            policy: pair.chosen.policy,
            content: pair.content,
            settings: settings.clone(),
            deadline,
            listener: None,
        };
        let tickets = self.pool.submit(pairs.into_iter().map(task).collect())?;
        Ok(join_all(tickets.into_iter().map(|it| it.verdict())).await)
    }

    /// Counts a verdict that goes to its caller as it is, who decides what it leads to.
    pub(crate) fn note(&self, chosen: &Chosen, outcome: Outcome) {
        let (_, disposition) = Action::of(outcome, OnUndetermined::Review);
        self.metrics.disposed(&chosen.metric, outcome, disposition);
    }

    /// Records a decision, and lets a candidate version judge the same; `None` without a store.
    ///
    /// # Errors
    /// [`ApiError::Store`].
    pub(crate) async fn record(
        &self,
        caller: &Caller,
        source: &'static str,
        chosen: &Chosen,
        content: &Content,
        settings: &JudgeSettings,
        verdict: &Verdict,
    ) -> Result<Option<DecisionId>, ApiError> {
        let Some(recorder) = &self.recorder else { return Ok(None) };
        let asked = Asked { caller, source, chosen, content, settings };
        let id = recorder.record(&asked, verdict, None).await?;
        if let Some(shadows) = &self.shadows {
            shadows.follow(asked, &id).await;
        }
        Ok(Some(id))
    }

    /// Records decisions on pairs, all at once; their ids in the pairs' order.
    ///
    /// # Errors
    /// [`ApiError::Store`] if any could not be.
    pub(crate) async fn record_all(
        &self,
        caller: &Caller,
        source: &'static str,
        pairs: &[Pair],
        settings: &JudgeSettings,
        verdicts: &[Verdict],
    ) -> Result<Vec<Option<DecisionId>>, ApiError> {
        let record = |(pair, verdict): (&'_ Pair, &'_ Verdict)| {
            let (pair, verdict) = (pair.clone(), verdict.clone());
            async move {
                let Pair { chosen, content } = &pair;
                self.record(caller, source, chosen, content, settings, &verdict).await
            }
        };
        try_join_all(pairs.iter().zip(verdicts).map(record)).await
    }

    /// As [`App::record_all`], for callers who do not want their content kept, whatever the settings say. No
    /// candidate judges it either.
    ///
    /// # Errors
    /// [`ApiError::Store`] if any could not be.
    pub(crate) async fn record_all_without_content(
        &self,
        caller: &Caller,
        source: &'static str,
        pairs: &[Pair],
        settings: &JudgeSettings,
        verdicts: &[Verdict],
    ) -> Result<(), ApiError> {
        let Some(recorder) = &self.recorder else { return Ok(()) };
        let record = |(pair, verdict): (&'_ Pair, &'_ Verdict)| {
            let (Pair { chosen, content }, verdict) = (pair.clone(), verdict.clone());
            async move {
                let (chosen, content) = (&chosen, &*content);
                let asked = Asked { caller, source, chosen, content, settings };
                recorder.record_without_content(&asked, &verdict).await
            }
        };
        try_join_all(pairs.iter().zip(verdicts).map(record)).await.map(drop)
    }

    /// Whether one request may ask for so many pairs.
    ///
    /// # Errors
    /// [`ApiError::TooMany`].
    pub(crate) fn check_count(&self, n: usize) -> Result<(), ApiError> {
        let limit = self.settings.limits.pairs;
        if n > limit { Err(ApiError::TooMany { n, limit }) } else { Ok(()) }
    }
}
