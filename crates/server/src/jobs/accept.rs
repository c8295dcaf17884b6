//! A job is accepted: what it needs is on the disk before the caller hears of it.

use std::sync::Arc;
use std::time::Duration;

use policy::Content;
use store::{JobId, Millis, NewItem, NewJob, Notify, OnDeadline};

use super::details::{ItemDetails, JobDetails, json};
use crate::api::App;
use crate::door::Caller;
use crate::error::ApiError;
use crate::selector::Chosen;

/// When a caller who found too much open is to come again.
const COME_AGAIN: Duration = Duration::from_secs(10);

/// A job as it was asked for.
pub(crate) struct Asked {
    /// [`super::CLASSIFY`] or [`super::BATCH`].
    pub(crate) kind: &'static str,
    pub(crate) details: JobDetails,
    pub(crate) items: Vec<AskedItem>,
    pub(crate) deadline_at: Option<Millis>,
    pub(crate) on_deadline: OnDeadline,
    pub(crate) webhook: Option<String>,
    pub(crate) notify: Notify,
    /// The caller's key for this request.
    pub(crate) request_key: Option<String>,
}

/// One pair of it.
pub(crate) struct AskedItem {
    pub(crate) chosen: Chosen,
    pub(crate) content: Arc<Content>,
    /// The line of a batch that it is of.
    pub(crate) custom_id: Option<String>,
    pub(crate) details: ItemDetails,
}

/// Accepts a job; one whose key was used before for the same request is the one from then.
///
/// # Errors
/// [`ApiError::NoStore`], [`ApiError::Stopping`], [`ApiError::Busy`] with too much open, [`ApiError::KeyReused`]
/// for another request, [`ApiError::Door`] where the key's day has not so many left, [`ApiError::StoreUnreadable`].
pub(crate) async fn accept(app: &App, caller: &Caller, asked: Asked) -> Result<JobId, ApiError> {
    let recorder = app.recorder.as_ref().ok_or(ApiError::NoStore)?;
    if app.is_stopping() {
        return Err(ApiError::Stopping);
    }
    if app.metrics.jobs.n_open() + asked.items.len() > app.settings.jobs.backlog {
        return Err(ApiError::Busy { retry_after: COME_AGAIN });
    }
    caller.take(asked.items.len()).await?;
    for item in &asked.items {
        recorder.keep(&item.chosen).await.map_err(ApiError::of_store)?;
    }
    let (kind, digest) = (asked.kind, asked.details.digest.clone());
    let new = new_job(app, caller, asked);
    let (id, is_new) = recorder.store.accept(&new).await.map_err(ApiError::of_store)?;
    if is_new {
        app.metrics.jobs.job(kind, "accepted");
        app.jobs.signals.items.notify_one();
        // A job of nothing is finished as it comes, and told of.
        app.jobs.signals.deliveries.notify_one();
        return Ok(id);
    }
    let first = recorder.store.job(Some(caller.tenant()), &id).await.map_err(ApiError::of_store)?;
    let details: JobDetails = serde_json::from_str(&first.details).unwrap_or_default();
    if details.digest == digest { Ok(id) } else { Err(ApiError::KeyReused) }
}

fn new_job(app: &App, caller: &Caller, asked: Asked) -> NewJob {
    let item = |item: AskedItem| NewItem {
        custom_id: item.custom_id,
        policy: item.chosen.policy.reference(),
        content: Arc::unwrap_or_clone(item.content),
        details: json(&item.details),
    };
    NewJob {
        tenant: caller.tenant().to_owned(),
        key: caller.key().cloned(),
        request_key: asked.request_key,
        kind: asked.kind.to_owned(),
        priority: 0,
        deadline_at: asked.deadline_at,
        on_deadline: asked.on_deadline,
        webhook: asked.webhook,
        notify: asked.notify,
        keep_content: app.settings.keep_content,
        details: json(&asked.details),
        items: asked.items.into_iter().map(item).collect(),
    }
}
