//! An item's outcome goes into the store, once, whoever else may have judged it.

use std::sync::Arc;

use policy::Verdict;
use store::{Completion, DecisionId, LeasedItem, Millis, NewDecision, Store, StoreError, Words};

use super::details::{Details, LineDetails};
use super::{BATCH_SOURCE, CLASSIFY_SOURCE};
use crate::api::{Action, App};
use crate::door::Caller;
use crate::recorder::Asked;
use crate::selector::{Chosen, INLINE};
use crate::settings::OnUndetermined;

/// Who asked for an item.
pub(super) fn caller_of(item: &LeasedItem) -> Caller {
    Caller::on_behalf(&item.tenant, item.key.clone())
}

/// Stores the verdict as the item's outcome. Should the store fail, the lease ends in its time and the item is
/// judged again: no outcome is lost, and none is there twice. `chosen` is the item's policy, as far as it is known.
pub(super) async fn settle(
    app: &Arc<App>,
    store: &Store,
    item: &LeasedItem,
    details: &Details,
    chosen: Option<&Chosen>,
    verdict: Verdict,
) {
    let (outcome, otherwise) = (verdict.outcome, otherwise(app, details));
    let (_, disposition) = Action::of(outcome, otherwise);
    match complete(app, store, item, details, verdict).await {
        Ok(Completion::Stored(decision)) => {
            let metric = chosen.map_or(INLINE, |chosen| chosen.metric.as_str());
            app.metrics.disposed(metric, outcome, disposition);
            app.metrics.jobs.item("settled");
            app.jobs.signals.deliveries.notify_one();
            follow(app, item, details, chosen, &decision.id).await;
        }
        Ok(Completion::Already(_) | Completion::Cancelled) => app.metrics.jobs.item("lost"),
        Err(error) => tracing::error!("an outcome could not be stored: {error}"),
    }
}

/// What its caller does without a verdict.
fn otherwise(app: &App, details: &Details) -> OnUndetermined {
    match details.item.line {
        Some(LineDetails::Moderation) => app.settings.moderations.on_undetermined.action(),
        _ => details.item.on_undetermined(&details.job),
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
    let mut words = Words::of(&verdict);
    if !details.job.reasoning {
        words.reasoning = String::new();
    }
    let recorder = app.recorder.as_ref().ok_or(StoreError::Closed)?;
    let decision = NewDecision {
        id: DecisionId::new(at)?,
        at,
        origin: recorder.origin(&caller_of(item), &details.job.source),
        sampling: details.item.sampling,
        verdict,
        content: item.content.clone(),
        // The store goes by what the job says.
        keep_content: false,
    };
    store.complete(&item.id, decision, Some(words)).await
}

/// Lets a candidate version judge the same.
async fn follow(
    app: &App,
    item: &LeasedItem,
    details: &Details,
    chosen: Option<&Chosen>,
    id: &DecisionId,
) {
    let (Some(shadows), Some(chosen)) = (&app.shadows, chosen) else { return };
    let is_batch = details.job.batch.is_some();
    let asked = Asked {
        caller: &caller_of(item),
        source: if is_batch { BATCH_SOURCE } else { CLASSIFY_SOURCE },
        chosen,
        content: &item.content,
        settings: &details.item.sampling.settings(),
    };
    shadows.follow(asked, id).await;
}
