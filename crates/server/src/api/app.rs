//! What all routes share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use policy::{Content, JudgeSettings, Outcome, Verdict};

use super::classify::Action;

use crate::error::ApiError;
use crate::guard::Guard;
use crate::metrics::Metrics;
use crate::pool::{Class, Pool, Task};
use crate::selector::Chosen;
use crate::settings::{OnUndetermined, ServerSettings, duration};
use crate::shelf::Shelf;

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
        Ok(futures_util::future::join_all(tickets.into_iter().map(|it| it.verdict())).await)
    }

    /// Counts a verdict that goes to its caller as it is, who decides what it leads to.
    pub(crate) fn note(&self, chosen: &Chosen, outcome: Outcome) {
        let (_, disposition) = Action::of(outcome, OnUndetermined::Review);
        self.metrics.disposed(&chosen.metric, disposition);
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
