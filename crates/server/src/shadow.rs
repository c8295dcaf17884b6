//! Candidate versions: each judges, beside the live one and after it, what that has decided. What they say is
//! recorded and acts on nothing.
//!
//! They have what is left over: the last class of the queue, a share of the items, and so many a minute.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use policy::{Cause, JudgeSettings, Outcome, Verdict};
use serde::Deserialize;
use store::DecisionId;

use crate::api::Pair;
use crate::door::Caller;
use crate::error::ApiError;
use crate::metrics::Metrics;
use crate::pool::{Class, Pool, Task, Ticket};
use crate::recorder::{Asked, Recorder};
use crate::selector::Chosen;
use crate::settings::SettingsError;
use crate::stored::StoredPolicies;

/// How long a candidate's verdict may take, its wait in the queue included: nobody waits for it.
const PATIENCE: Duration = Duration::from_secs(600);

/// What candidate versions may take.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShadowSettings {
    /// The share of the live version's items that the candidate judges too, 0 to 1; drawn at random.
    pub share: f64,
    /// Most verdicts of candidates a minute, over all of them.
    pub per_minute: u32,
}

impl Default for ShadowSettings {
    fn default() -> ShadowSettings {
        ShadowSettings { share: 1.0, per_minute: 60 }
    }
}

impl ShadowSettings {
    /// # Errors
    /// [`SettingsError::Value`] for a share that is none.
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        if (0.0..=1.0).contains(&self.share) {
            return Ok(());
        }
        let found = self.share.to_string();
        Err(SettingsError::Value { setting: "shadow.share", found, expected: "0 to 1" })
    }
}

/// What became of an item that a candidate might have judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShadowFate {
    /// Judged and recorded.
    Judged,
    /// The budget, or a full queue, did not let it.
    Skipped,
    /// There was no verdict in time, or it could not be recorded.
    Failed,
}

impl ShadowFate {
    pub(crate) fn word(self) -> &'static str {
        match self {
            ShadowFate::Judged => "judged",
            ShadowFate::Skipped => "skipped",
            ShadowFate::Failed => "failed",
        }
    }
}

/// Judges with candidates.
pub(crate) struct Shadows {
    share: f64,
    /// `None`: nothing a minute.
    rate: Option<DefaultDirectRateLimiter>,
    stored: Arc<StoredPolicies>,
    pool: Arc<Pool>,
    recorder: Arc<Recorder>,
    metrics: Arc<Metrics>,
}

impl Shadows {
    pub(crate) fn new(
        settings: ShadowSettings,
        stored: Arc<StoredPolicies>,
        pool: Arc<Pool>,
        recorder: Arc<Recorder>,
        metrics: Arc<Metrics>,
    ) -> Shadows {
        let rate = NonZeroU32::new(settings.per_minute);
        let rate = rate.map(|n| RateLimiter::direct(Quota::per_minute(n)));
        Shadows { share: settings.share, rate, stored, pool, recorder, metrics }
    }

    /// Has the candidate beside a live version judge the same item, if there is one and the budget lets it. The
    /// verdict is not waited for.
    pub(crate) async fn follow(self: &Arc<Self>, asked: Asked<'_>, id: &DecisionId) {
        let Asked { caller, source, chosen, content, settings } = asked;
        if chosen.is_inline() {
            return;
        }
        let Ok(in_use) = self.stored.of(caller.tenant()).await else { return };
        let candidate = in_use.shadow.get(&chosen.policy.name);
        let Some(candidate) = candidate.filter(|it| it.id != chosen.policy.id) else { return };
        if !self.is_drawn() {
            return;
        }
        let pair = Pair { chosen: Chosen::served(candidate), content: Arc::new(content.clone()) };
        let Ok(ticket) = self.submit(caller, &pair, settings) else {
            return self.metrics.shadowed(ShadowFate::Skipped);
        };
        let (shadows, caller) = (Arc::clone(self), caller.without_quota());
        let (live, settings) = (id.clone(), settings.clone());
        tokio::spawn(async move {
            let verdict = ticket.verdict().await;
            let Pair { chosen, content } = &pair;
            let asked = Asked { caller: &caller, source, chosen, content, settings: &settings };
            let is_noted = !is_about_us(&verdict)
                && shadows.recorder.record(&asked, &verdict, Some(live)).await.is_ok();
            let fate = if is_noted { ShadowFate::Judged } else { ShadowFate::Failed };
            shadows.metrics.shadowed(fate);
        });
    }

    /// Whether the budget lets one more through, by lot and by rate.
    fn is_drawn(&self) -> bool {
        // Without random numbers nothing is drawn; live verdicts do not depend on it.
        let Ok(lot) = getrandom::u32() else { return false };
        if f64::from(lot) >= self.share * (f64::from(u32::MAX) + 1.0) {
            return false;
        }
        let has_rate = self.rate.as_ref().is_some_and(|rate| rate.check().is_ok());
        if !has_rate {
            self.metrics.shadowed(ShadowFate::Skipped);
        }
        has_rate
    }

    fn submit(
        &self,
        caller: &Caller,
        pair: &Pair,
        settings: &JudgeSettings,
    ) -> Result<Ticket, ApiError> {
        let task = Task {
            class: Class::Shadow,
            key: caller.key().cloned(),
            policy: Arc::clone(&pair.chosen.policy),
            content: Arc::clone(&pair.content),
            settings: settings.clone(),
            deadline: Instant::now() + PATIENCE,
            listener: None,
        };
        self.pool.submit(vec![task])?.pop().ok_or(ApiError::Stopping)
    }
}

/// Whether the lack of a verdict says something of this service and nothing of the candidate.
fn is_about_us(verdict: &Verdict) -> bool {
    matches!(
        verdict.outcome,
        Outcome::Undetermined(
            Cause::Timeout | Cause::OverBudget | Cause::BackendError | Cause::Cancelled
        )
    )
}
