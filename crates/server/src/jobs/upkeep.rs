//! What time brings: deadlines, batches to be concluded, words and files that nobody needs any more, counts.

use std::sync::Arc;
use std::time::Duration;

use policy::{Cause, Verdict};
use store::{Millis, Store, StoreError};
use tokio::sync::watch;

use super::crew::{Phase, reached};
use super::details::Details;
use super::settle::settle;
use crate::api::App;
use crate::batches;

const EVERY: Duration = Duration::from_secs(1);
/// How often words and files are looked at that nobody needs any more.
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
    loop {
        let look = look(&app, &store, n_looks.is_multiple_of(TIDY_EVERY));
        tokio::select! {
            () = reached(&mut phase, Phase::Finishing) => return,
            looked = look => if let Err(error) = looked {
                tracing::error!("jobs could not be kept up: {error}");
            },
        }
        n_looks += 1;
        tokio::select! {
            () = reached(&mut phase, Phase::Finishing) => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn look(app: &Arc<App>, store: &Store, tidies: bool) -> Result<(), StoreError> {
    if !store.note_deadlines(PAGE).await?.is_empty() {
        app.jobs.signals.deliveries.notify_one();
    }
    while give_up(app, store).await? > 0 {}
    batches::conclude_all(app, store).await?;
    app.metrics.jobs.set_backlog(&store.backlog().await?);
    if tidies {
        store.sweep_files(Millis::now().before(UPLOAD)).await?;
        let kept = DAY * app.settings.jobs.keep_words_days;
        store.forget_words(Millis::now().before(kept)).await?;
    }
    Ok(())
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
