//! Leases items and has them judged, each in a task of its own that keeps the lease while it waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use policy::{Cause, JudgeSettings, Outcome, Verdict};
use store::{LeasedItem, Millis, OnDeadline, Store, StoreError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::crew::{LOOK_EVERY, Phase, reached};
use super::details::{Details, ItemDetails};
use super::settle::settle;
use crate::api::App;
use crate::error::ApiError;
use crate::pool::{Class, Task, Ticket};
use crate::selector::Chosen;
use crate::settings::{MAX_SECONDS, duration};

/// Most seconds between two tries after failures of the judge.
const LONGEST_RETRY: Duration = Duration::from_secs(300);
/// How long a full queue is left alone.
const QUEUE_PAUSE: Duration = Duration::from_millis(100);

/// Works until the service stops; what is under way then is finished or given back.
pub(super) async fn work(app: Arc<App>, mut phase: watch::Receiver<Phase>) {
    let Ok(store) = app.store().cloned() else { return };
    let Some(name) = worker_name() else { return };
    let slots = Arc::new(Semaphore::new(app.settings.jobs.in_flight));
    let mut under_way = JoinSet::new();
    loop {
        let slot = tokio::select! {
            () = reached(&mut phase, Phase::Finishing) => break,
            slot = Arc::clone(&slots).acquire_owned() => slot.expect("the slots are never closed"),
        };
        while under_way.try_join_next().is_some() {}
        let n_leased = lease(&app, &store, &name, slot, &slots, &mut under_way).await;
        if n_leased == 0 {
            tokio::select! {
                () = reached(&mut phase, Phase::Finishing) => break,
                () = app.jobs.signals.items.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
    let patience = duration(app.settings.limits.shutdown_s);
    tokio::select! {
        () = async { while under_way.join_next().await.is_some() {} } => {}
        () = tokio::time::sleep(patience) => {}
        () = reached(&mut phase, Phase::Ending) => {}
    }
    under_way.shutdown().await;
    match store.release(&name).await {
        Ok(0) => {}
        Ok(n) => tracing::info!(items = n, "handed over to whoever leases next"),
        Err(error) => {
            tracing::error!("items could not be handed over before their lease ends: {error}")
        }
    }
}

/// A name that no other worker has.
fn worker_name() -> Option<String> {
    let Ok(chance) = getrandom::u64() else {
        tracing::error!("the system has no random numbers, so no jobs are worked on");
        return None;
    };
    Some(format!("serve-{chance:016x}"))
}

/// Leases as many items as there are slots and starts on them; returns how many.
async fn lease(
    app: &Arc<App>,
    store: &Store,
    name: &str,
    slot: OwnedSemaphorePermit,
    slots: &Arc<Semaphore>,
    under_way: &mut JoinSet<()>,
) -> usize {
    let wanted = 1 + slots.available_permits();
    let items = match store.lease(name, wanted, app.lease()).await {
        Ok(items) => items,
        Err(error) => {
            tracing::error!("no items could be leased: {error}");
            return 0;
        }
    };
    let n_leased = items.len();
    let mut free = Some(slot);
    for item in items {
        // Only this task takes slots, so as many as were free still are.
        let slot = free.take().or_else(|| Arc::clone(slots).try_acquire_owned().ok());
        let work = Work { app: Arc::clone(app), store: store.clone(), name: name.to_owned(), item };
        under_way.spawn(async move {
            let _slot = slot;
            work.run().await;
        });
    }
    n_leased
}

/// One item on its way.
struct Work {
    app: Arc<App>,
    store: Store,
    name: String,
    item: LeasedItem,
}

impl Work {
    async fn run(self) {
        let Ok(details) = Details::of(&self.item) else {
            let verdict =
                self.none(Cause::BackendError, "what the store keeps of it cannot be read");
            return settle(&self.app, &self.store, &self.item, &Details::default(), None, verdict)
                .await;
        };
        let chosen = self.app.jobs.texts.find(&self.app, &self.item).await;
        let judged = self.verdict(&details.item, &chosen);
        let metrics = &self.app.metrics.jobs;
        match self.holding(judged).await.flatten() {
            None => metrics.item("lost"),
            Some(verdict) if is_failure(&verdict) && self.is_worth_another_try() => {
                metrics.item("retried");
                self.try_again().await;
            }
            Some(verdict) => {
                let chosen = chosen.ok();
                let chosen = chosen.as_ref();
                settle(&self.app, &self.store, &self.item, &details, chosen, verdict).await;
            }
        }
    }

    /// Keeps the lease while something is done; `None` once it is lost.
    async fn holding<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let lease = self.app.lease();
        let mut work = std::pin::pin!(work);
        let mut renewals = tokio::time::interval(lease / 3);
        renewals.tick().await;
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                _ = renewals.tick() => match self.store.renew(&self.item.id, &self.name, lease).await {
                    Ok(true) => {}
                    Ok(false) => return None,
                    // The next renewal may come in time; if not, another one judges too, and one outcome counts.
                    Err(error) => tracing::error!("a lease could not be renewed: {error}"),
                },
            }
        }
    }

    /// The verdict; `None` where the service stops or the store failed: whoever leases the item next begins anew.
    async fn verdict(
        &self,
        details: &ItemDetails,
        chosen: &Result<Chosen, StoreError>,
    ) -> Option<Verdict> {
        let (app, item) = (&self.app, &self.item);
        let n_tries = i64::from(app.settings.jobs.attempts);
        if item.attempt > n_tries {
            let detail = format!("given up: {n_tries} tries came to no end");
            return Some(self.none(Cause::BackendError, &detail));
        }
        let policy = match chosen {
            Ok(chosen) => Arc::clone(&chosen.policy),
            Err(error @ (StoreError::Database(_) | StoreError::Closed)) => {
                tracing::error!("the policy of an item could not be read: {error}");
                return None;
            }
            Err(error) => return Some(self.none(Cause::BackendError, &error.to_string())),
        };
        let judge_s = duration(app.settings.limits.deadline_s);
        let settings = JudgeSettings { timeout: Some(judge_s), ..details.sampling.settings() };
        let task = Task {
            class: Class::Job,
            key: item.key.clone(),
            policy,
            content: Arc::new(item.content.clone()),
            settings,
            deadline: self.deadline(),
            listener: None,
        };
        match self.queued(task).await? {
            Some(ticket) => Some(ticket.verdict().await),
            None => Some(self.none(Cause::Timeout, "the deadline passed before a judge was free")),
        }
    }

    /// A place in the queue, however long that takes; `Some(None)` where the deadline passes first, `None` where
    /// the service stops.
    async fn queued(&self, task: Task) -> Option<Option<Ticket>> {
        while Instant::now() < task.deadline {
            match self.app.pool.submit(vec![task.clone()]) {
                Ok(mut tickets) => return tickets.pop().map(Some),
                Err(ApiError::Stopping) => return None,
                Err(_) => tokio::time::sleep(QUEUE_PAUSE).await,
            }
        }
        Some(None)
    }

    /// By when a judge has to begin.
    fn deadline(&self) -> Instant {
        let longest = Instant::now() + duration(MAX_SECONDS);
        let at = self.item.deadline_at.filter(|_| self.item.on_deadline == OnDeadline::GiveUp);
        at.map_or(longest, |at| {
            let left = at.0.saturating_sub(Millis::now().0);
            Instant::now() + Duration::from_millis(u64::try_from(left).unwrap_or_default())
        })
    }

    /// A failure says nothing of the item: as long as there are tries and time, it is no outcome.
    fn is_worth_another_try(&self) -> bool {
        self.app.is_stopping()
            || (self.item.attempt < i64::from(self.app.settings.jobs.attempts)
                && Instant::now() < self.deadline())
    }

    /// Leaves the item alone for a while; nobody else gets it before.
    async fn try_again(&self) {
        let n_before = u32::try_from(self.item.attempt - 1).unwrap_or_default();
        let wait = duration(self.app.settings.jobs.retry_s);
        let wait = wait.saturating_mul(2u32.saturating_pow(n_before)).min(LONGEST_RETRY);
        if let Err(error) = self.store.renew(&self.item.id, &self.name, wait).await {
            tracing::error!("an item that is to be tried again waits for its lease: {error}");
        }
    }

    fn none(&self, cause: Cause, detail: &str) -> Verdict {
        Verdict::undetermined(cause, detail, self.item.policy.clone(), &self.app.model)
    }
}

fn is_failure(verdict: &Verdict) -> bool {
    verdict.outcome == Outcome::Undetermined(Cause::BackendError)
}
