//! What time brings: deadlines, batches to be concluded, counts, and what has been kept for long enough.

use std::sync::Arc;
use std::time::Duration;

use policy::{Cause, Verdict};
use store::{Millis, Store, StoreError};
use tokio::sync::watch;

use super::crew::{Phase, reached};
use super::details::Details;
use super::settle::settle;
use super::{BATCH, JobSettings};
use crate::api::App;
use crate::batches;

const EVERY: Duration = Duration::from_secs(1);
/// After how many looks what is old is removed.
const TIDY_EVERY: u64 = 3600;
/// Rows at once.
const PAGE: usize = 100;
/// How long an upload may take before it counts as broken off.
const UPLOAD: Duration = Duration::from_secs(24 * 3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Looks every second until the service stops.
pub(super) async fn keep_up(app: Arc<App>, mut phase: watch::Receiver<Phase>) {
    let Ok(store) = app.store().cloned() else { return };
    let mut n_looks = 0u64;
    let mut more_is_old = false;
    loop {
        let look = look(&app, &store, more_is_old || n_looks.is_multiple_of(TIDY_EVERY));
        tokio::select! {
            () = reached(&mut phase, Phase::Finishing) => return,
            looked = look => {
                more_is_old = looked.unwrap_or_else(|error| {
                    tracing::error!("jobs could not be kept up: {error}");
                    false
                });
            }
        }
        n_looks += 1;
        tokio::select! {
            () = reached(&mut phase, Phase::Finishing) => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Whether there is more that is old than was removed.
async fn look(app: &Arc<App>, store: &Store, tidies: bool) -> Result<bool, StoreError> {
    if !store.note_deadlines(PAGE).await?.is_empty() {
        app.jobs.signals.deliveries.notify_one();
    }
    while give_up(app, store).await? > 0 {}
    batches::conclude_all(app, store).await?;
    app.metrics.jobs.set_backlog(&store.backlog().await?);
    if tidies { tidy(&app.settings.jobs, store).await } else { Ok(false) }
}

/// Removes what has been kept for as long as the settings say, a page at a time, so that deadlines do not wait for it;
/// whether there may be more.
async fn tidy(kept: &JobSettings, store: &Store) -> Result<bool, StoreError> {
    let before = |n_days: u32| Millis::now().before(DAY * n_days);
    store.sweep_files(Millis::now().before(UPLOAD)).await?;
    store.forget_words(before(kept.keep_words_days)).await?;
    let n_files = store.prune_files(before(kept.keep_files_days), PAGE).await?;
    let n_jobs = store.prune_jobs(before(kept.keep_jobs_days), BATCH, PAGE).await?;
    let has_removed = n_files > 0 || n_jobs > 0;
    if has_removed {
        tracing::info!(jobs = n_jobs, files = n_files, "removed: kept for as long as was set");
    }
    Ok(has_removed)
}

/// Settles items of jobs whose deadline has passed and that do not wait on; returns how many.
async fn give_up(app: &Arc<App>, store: &Store) -> Result<usize, StoreError> {
    let items = store.lease_overdue("upkeep", PAGE, app.lease()).await?;
    for item in &items {
        let detail = "the deadline passed before a judge was free";
        let verdict =
            Verdict::undetermined(Cause::Timeout, detail, item.policy.clone(), &app.model);
        let details = Details::of(item).unwrap_or_default();
        let chosen = app.jobs.texts.find(app, item).await.ok();
        settle(app, store, item, &details, chosen.as_ref(), verdict).await;
    }
    Ok(items.len())
}
