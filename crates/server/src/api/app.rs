//! What all routes share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join_all};
use policy::{Content, JudgeSettings, Outcome, Verdict};

use super::classify::Action;

use crate::error::ApiError;
use crate::guard::Guard;
use crate::metrics::Metrics;
use crate::pool::{Class, Pool, Task};
use crate::recorder::Recorder;
use crate::selector::Chosen;
use crate::serve::Before;
use crate::settings::{OnUndetermined, ServerSettings, duration};
use crate::shelf::Shelf;
use store::DecisionId;

/// The service's parts.
pub(crate) struct App {
    pub(crate) settings: ServerSettings,
    /// How each content is judged, unless its request says otherwise.
    pub(crate) judging: JudgeSettings,
    /// The judge's model, by the name that people know.
    pub(crate) model: String,
    pub(crate) shelf: Shelf,
    pub(crate) pool: Pool,
    pub(crate) metrics: Arc<Metrics>,
    /// Before another chat model, where the settings name one.
    pub(crate) guard: Option<Arc<Guard>>,
    pub(crate) before: Option<Arc<dyn Before>>,
    /// Where decisions go; without a store, nowhere.
    pub(crate) recorder: Option<Recorder>,
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

    /// When a request that allows this much time has to have its answer.
    pub(crate) fn deadline(&self, asked: Option<Duration>) -> Instant {
        Instant::now() + asked.unwrap_or(duration(self.settings.limits.deadline_s))
    }

    /// The verdicts on all pairs, in order. Dropping the future takes the work back.
    ///
    /// # Errors
    /// [`ApiError::TooMany`], and where the queue does not take them.
    pub(crate) async fn judge(
        &self,
        class: Class,
        pairs: Vec<Pair>,
        settings: &JudgeSettings,
        deadline: Instant,
    ) -> Result<Vec<Verdict>, ApiError> {
        self.check_count(pairs.len())?;
        let task = |pair: Pair| Task {
            class,
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
        self.metrics.disposed(&chosen.metric, disposition);
    }

    /// Records a decision; `None` without a store.
    ///
    /// # Errors
    /// [`ApiError::Store`].
    pub(crate) async fn record(
        &self,
        source: &'static str,
        chosen: &Chosen,
        content: &Content,
        settings: &JudgeSettings,
        verdict: &Verdict,
    ) -> Result<Option<DecisionId>, ApiError> {
        match &self.recorder {
            Some(recorder) => {
                recorder.record(source, chosen, content, settings, verdict).await.map(Some)
            }
            None => Ok(None),
        }
    }

    /// Records decisions on pairs, all at once; their ids in the pairs' order.
    ///
    /// # Errors
    /// [`ApiError::Store`] if any could not be.
    pub(crate) async fn record_all(
        &self,
        source: &'static str,
        pairs: &[Pair],
        settings: &JudgeSettings,
        verdicts: &[Verdict],
    ) -> Result<Vec<Option<DecisionId>>, ApiError> {
        let record = |(pair, verdict): (&'_ Pair, &'_ Verdict)| {
            let (pair, verdict) = (pair.clone(), verdict.clone());
            async move { self.record(source, &pair.chosen, &pair.content, settings, &verdict).await }
        };
        try_join_all(pairs.iter().zip(verdicts).map(record)).await
    }

    /// As [`App::record_all`], for callers who do not want their content kept, whatever the settings say.
    ///
    /// # Errors
    /// [`ApiError::Store`] if any could not be.
    pub(crate) async fn record_all_without_content(
        &self,
        source: &'static str,
        pairs: &[Pair],
        settings: &JudgeSettings,
        verdicts: &[Verdict],
    ) -> Result<(), ApiError> {
        let Some(recorder) = &self.recorder else { return Ok(()) };
        let record = |(pair, verdict): (&'_ Pair, &'_ Verdict)| {
            let (Pair { chosen, content }, verdict) = (pair.clone(), verdict.clone());
            async move {
                recorder.record_without_content(source, &chosen, &content, settings, &verdict).await
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
