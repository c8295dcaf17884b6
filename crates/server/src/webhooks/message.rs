//! What a webhook is told: made anew at each try, of what the store knows.

use serde::Serialize;
use serde_json::{Value, json};
use store::{Delivery, Event, Job, Store, StoreError};
use utoipa::ToSchema;

use super::sign::Secret;
use crate::jobs::{JobBody, JobDetails, JobResult};

/// What a webhook is told.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookMessage)]
pub(crate) struct Message {
    /// `item.done`, `job.finished` or `job.deadline_passed`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// When it happened.
    timestamp: String,
    /// The job; with `item.done`, `job` is its id and the rest the pair's outcome.
    #[schema(value_type = Object)]
    data: Value,
}

impl Message {
    /// The message of a delivery, and the job's own secret.
    ///
    /// # Errors
    /// As [`Store::job`] and [`Store::item`].
    pub(super) async fn read(
        store: &Store,
        delivery: &Delivery,
    ) -> Result<(Message, Option<Secret>), StoreError> {
        let job = store.job(None, &delivery.job).await?;
        let details: JobDetails = serde_json::from_str(&job.details)?;
        let (kind, data) = match (delivery.event, &delivery.item) {
            (Event::ItemDone, Some(item)) => {
                let item = store.item(item).await?;
                ("item.done", outcome(&job, &JobResult::new(&job, &details, &item)))
            }
            (Event::DeadlinePassed, _) => ("job.deadline_passed", json!(JobBody::new(&job))),
            (Event::ItemDone | Event::JobFinished, _) => {
                ("job.finished", json!(JobBody::new(&job)))
            }
        };
        let timestamp = delivery.created_at.rfc3339();
        Ok((Message { kind, timestamp, data }, details.secret))
    }
}

fn outcome(job: &Job, result: &JobResult) -> Value {
    let mut data = json!(result);
    data["job"] = job.id.as_str().into();
    data
}
