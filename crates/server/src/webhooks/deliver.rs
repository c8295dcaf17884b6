//! Leases what is due and sends it. What is under way when the service falls is due again after its lease, under
//! the same id.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use store::{Delivery, Millis, Store, StoreError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::Webhooks;
use super::message::Message;
use super::target::target;
use crate::api::App;
use crate::jobs::{LOOK_EVERY, Phase, reached};
use crate::settings::duration;

/// What a try may take beyond its receiver's time.
const MARGIN: Duration = Duration::from_secs(5);

/// Delivers until the service stops; tries under way then have their time to end.
pub(crate) async fn deliver_all(app: Arc<App>, mut phase: watch::Receiver<Phase>) {
    let Ok(store) = app.store().cloned() else { return };
    let settings = &app.settings.webhooks;
    let timeout = duration(settings.timeout_s);
    let slots = Arc::new(Semaphore::new(settings.in_flight));
    let mut under_way = JoinSet::new();
    loop {
        let slot = tokio::select! {
            () = reached(&mut phase, Phase::Finishing) => break,
            slot = Arc::clone(&slots).acquire_owned() => slot.expect("the slots are never closed"),
        };
        while under_way.try_join_next().is_some() {}
        let n_leased = lease(&app, &store, timeout + MARGIN, slot, &slots, &mut under_way).await;
        if n_leased == 0 {
            tokio::select! {
                () = reached(&mut phase, Phase::Finishing) => break,
                () = app.jobs.signals.deliveries.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
    tokio::select! {
        () = async { while under_way.join_next().await.is_some() {} } => {}
        () = tokio::time::sleep(timeout) => {}
        () = reached(&mut phase, Phase::Ending) => {}
    }
    under_way.shutdown().await;
}

/// Leases as many deliveries as there are slots and starts on them; returns how many.
async fn lease(
    app: &Arc<App>,
    store: &Store,
    lease: Duration,
    slot: OwnedSemaphorePermit,
    slots: &Arc<Semaphore>,
    under_way: &mut JoinSet<()>,
) -> usize {
    let due = match store.lease_deliveries(1 + slots.available_permits(), lease).await {
        Ok(due) => due,
        Err(error) => {
            tracing::error!("no deliveries could be leased: {error}");
            return 0;
        }
    };
    let n_leased = due.len();
    let mut free = Some(slot);
    for delivery in due {
        // Only this task takes slots, so as many as were free still are.
        let slot = free.take().or_else(|| Arc::clone(slots).try_acquire_owned().ok());
        let (app, store) = (Arc::clone(app), store.clone());
        under_way.spawn(async move {
            let _slot = slot;
            if let Err(error) = deliver(&app, &store, &delivery).await {
                tracing::error!("what came of a delivery could not be noted: {error}");
            }
        });
    }
    n_leased
}

/// One try, and what came of it.
async fn deliver(app: &App, store: &Store, delivery: &Delivery) -> Result<(), StoreError> {
    let sent = match Message::read(store, delivery).await {
        Ok((message, secret)) => app.jobs.webhooks.send(delivery, &message, secret).await,
        Err(error @ (StoreError::Database(_) | StoreError::Closed)) => return Err(error),
        Err(error) => Err(format!("there is nothing to tell: {error}")),
    };
    let metrics = &app.metrics.jobs;
    match sent {
        Ok(()) => {
            store.delivered(&delivery.id).await?;
            metrics.delivery("delivered");
        }
        Err(problem) => {
            let chance = getrandom::u32().unwrap_or_default();
            let backoff = app.settings.webhooks.backoff().jittered(chance);
            let next = store.delivery_failed(&delivery.id, &problem, &backoff).await?;
            metrics.delivery(if next.is_some() { "failed" } else { "dead" });
            let id = delivery.id.as_str();
            match next {
                Some(_) => tracing::warn!(delivery = id, problem, "a webhook did not hear"),
                None => tracing::error!(delivery = id, problem, "a webhook was given up"),
            }
        }
    }
    Ok(())
}

impl Webhooks {
    /// Sends a message; the error is for people, and names neither the URL nor what was sent.
    async fn send(
        &self,
        delivery: &Delivery,
        message: &Message,
        secret: Option<super::Secret>,
    ) -> Result<(), String> {
        // The settings may have become stricter since the job was accepted.
        let url = target(&delivery.url, &self.settings)?;
        let secret = secret.as_ref().or(self.secret.as_ref());
        let secret = secret.ok_or("there is no secret to sign with: SAFEGUARD_WEBHOOK_SECRET")?;
        let body = serde_json::to_vec(message).expect("a message is plain data");
        let (id, at) = (delivery.id.as_str(), Millis::now().0 / 1000);
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", at)
            .header("webhook-signature", secret.sign(id, at, &body))
            .body(body);
        let status = request.send().await.map_err(|error| reason(&error))?.status();
        match status {
            _ if status.is_success() => Ok(()),
            _ if status.is_redirection() => {
                Err(format!("{}: redirects are not followed", line(status)))
            }
            _ => Err(line(status)),
        }
    }
}

fn line(status: StatusCode) -> String {
    format!("HTTP {}", status.as_u16())
}

/// The last cause; the first one is the URL.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    let first: &dyn std::error::Error = error;
    let last = std::iter::successors(Some(first), |cause| cause.source()).last();
    let last = last.filter(|_| std::error::Error::source(error).is_some());
    last.map_or_else(|| "it cannot be reached".to_owned(), ToString::to_string)
}
