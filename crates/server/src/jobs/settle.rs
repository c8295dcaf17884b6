//! An item's outcome goes into the store, once, whoever else may have judged it.

use std::sync::Arc;

use store::{Completion, DecisionId, LeasedItem, Millis, NewDecision, Store, StoreError, Words};

use super::details::Details;
use crate::api::{Action, App};
use crate::selector::INLINE;
use policy::Verdict;

/// Stores the verdict as the item's outcome. Should the store fail, the lease ends in its time and the item is
/// judged again: no outcome is lost, and none is there twice.
pub(super) async fn settle(
    app: &Arc<App>,
    store: &Store,
    item: &LeasedItem,
    details: &Details,
    verdict: Verdict,
) {
    let (_, disposition) = Action::of(verdict.outcome, details.job.on_undetermined);
    match complete(app, store, item, details, verdict).await {
        Ok(Completion::Stored(_)) => {
            app.metrics.disposed(&metric(app, item), disposition);
            app.metrics.jobs.item("settled");
            app.jobs.signals.deliveries.notify_one();
        }
        Ok(Completion::Already(_) | Completion::Cancelled) => app.metrics.jobs.item("lost"),
        Err(error) => tracing::error!("an outcome could not be stored: {error}"),
    }
}

async fn complete(
    app: &App,
    store: &Store,
    item: &LeasedItem,
    details: &Details,
    verdict: Verdict,
) -> Result<Completion, StoreError> {
    let at = Millis::now();
    // The store puts the job's tenant and key in.
    let origin = app.recorder.as_ref().map(|it| it.origin(&details.job.source)).unwrap_or_default();
    let mut words = Words::of(&verdict);
    if !details.job.reasoning {
        words.reasoning = String::new();
    }
    let decision = NewDecision {
        id: DecisionId::new(at)?,
        at,
        origin,
        sampling: details.item.sampling,
        verdict,
        content: item.content.clone(),
        // The store goes by what the job says.
        keep_content: false,
    };
    store.complete(&item.id, decision, Some(words)).await
}

/// The policy's name in metrics.
fn metric(app: &App, item: &LeasedItem) -> String {
    let served = app.shelf.served();
    let is_served =
        served.policies.get(&item.policy.name).is_some_and(|it| it.id == item.policy.id);
    if is_served { item.policy.name.clone() } else { INLINE.to_owned() }
}
