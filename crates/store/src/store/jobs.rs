//! Jobs and deliveries.

use std::time::Duration;

use policy::Content;

use super::{Store, page_of, twin};
use crate::decision::NewDecision;
use crate::entry::{Applied, Entry};
use crate::error::{Result, StoreError};
use crate::id::{DeliveryId, ItemId, JobId};
use crate::job::{Backoff, Completion, Delivery, Item, Job, LeasedItem, MAX_ITEMS, NewJob};
use crate::time::Millis;

impl Store {
    /// Accepts a job: when this returns, it is on the disk. The flag says whether it is new, or the one that
    /// this tenant's `request_key` had made before.
    ///
    /// # Errors
    /// [`StoreError::TooMuch`] above [`MAX_ITEMS`].
    pub async fn accept(&self, job: &NewJob) -> Result<(JobId, bool)> {
        let found = job.items.len();
        if found > MAX_ITEMS {
            return Err(StoreError::TooMuch { what: "items of a job", found, limit: MAX_ITEMS });
        }
        twin!(self, jobs::accept(job, Millis::now()))
    }

    /// Hands out up to `n_items` to a worker: those that wait, or whose lease has ended, by priority, then by
    /// age. Nobody else gets them for `lease`.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn lease(
        &self,
        worker: &str,
        n_items: usize,
        lease: Duration,
    ) -> Result<Vec<LeasedItem>> {
        twin!(self, jobs::lease(worker, page_of(n_items), lease, Millis::now()))
    }

    /// Prolongs a lease from now; `false` if the worker has lost it.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn renew(&self, item: &ItemId, worker: &str, lease: Duration) -> Result<bool> {
        twin!(self, jobs::renew(item, worker, Millis::now().after(lease)))
    }

    /// Gives back all that a worker holds, as at shutdown; returns how many items.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn release(&self, worker: &str) -> Result<u64> {
        twin!(self, jobs::release(worker))
    }

    /// Settles an item: its decision, the job's progress and what the webhook is told are one commit, and it
    /// happens once, however often and by however many it is called. The tenant, the key and whether content is
    /// kept are the job's.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] without such an item; [`StoreError::Conflict`] if the decision's id is taken.
    pub async fn complete(&self, item: &ItemId, decision: NewDecision) -> Result<Completion> {
        let entry = Entry::Completion(item.clone(), Box::new(decision));
        match self.writer.append(entry).await? {
            Applied::Completion(completion) => Ok(completion),
            _ => Err(StoreError::Closed),
        }
    }

    /// Cancels the items that have no decision yet and erases their content; returns how many.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] without such a job of this tenant.
    pub async fn cancel(&self, tenant: &str, id: &JobId) -> Result<u64> {
        twin!(self, jobs::cancel(tenant, id, Millis::now()))
    }

    /// A job; of this tenant only, if one is given.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] where there is none.
    pub async fn job(&self, tenant: Option<&str>, id: &JobId) -> Result<Job> {
        twin!(self, jobs::one(tenant, id))
    }

    /// Jobs of a tenant, newest first, from before the one given; of one kind, if one is named.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn jobs(
        &self,
        tenant: &str,
        kind: Option<&str>,
        before: Option<&JobId>,
        limit: usize,
    ) -> Result<Vec<Job>> {
        twin!(self, jobs::page(tenant, kind, before, page_of(limit)))
    }

    /// Items of a job by position, from behind the position given.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn items(&self, job: &JobId, after: Option<i64>, limit: usize) -> Result<Vec<Item>> {
        twin!(self, jobs::items(job, after, page_of(limit)))
    }

    /// The content of an item that is still to be judged; `None` afterwards.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] without such an item.
    pub async fn item_content(&self, item: &ItemId) -> Result<Option<Content>> {
        twin!(self, jobs::content(item))
    }

    /// How many items wait or are being judged, in all jobs.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn n_open_items(&self) -> Result<i64> {
        twin!(self, jobs::n_open())
    }

    /// Jobs whose deadline has passed with items open, each returned once in its life; their webhooks are
    /// told in the same commit.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn note_deadlines(&self, limit: usize) -> Result<Vec<JobId>> {
        twin!(self, jobs::note_deadlines(page_of(limit), Millis::now()))
    }

    /// Hands out deliveries that are due; each is due again after `lease` unless something is heard of it.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn lease_deliveries(&self, limit: usize, lease: Duration) -> Result<Vec<Delivery>> {
        twin!(self, deliveries::lease(page_of(limit), lease, Millis::now()))
    }

    /// Notes that a webhook has heard.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn delivered(&self, id: &DeliveryId) -> Result<()> {
        twin!(self, deliveries::delivered(id, Millis::now()))
    }

    /// Notes a failed try and returns when the next is due; `None` after the last: the delivery is dead.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn delivery_failed(
        &self,
        id: &DeliveryId,
        error: &str,
        backoff: &Backoff,
    ) -> Result<Option<Millis>> {
        twin!(self, deliveries::failed(id, error, backoff, Millis::now()))
    }

    /// Dead deliveries of a tenant, newest first, from before the one given.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn dead_deliveries(
        &self,
        tenant: &str,
        before: Option<&DeliveryId>,
        limit: usize,
    ) -> Result<Vec<Delivery>> {
        twin!(self, deliveries::dead(tenant, before, page_of(limit)))
    }

    /// Makes a dead delivery due again, with all its tries.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] without such a dead delivery of this tenant.
    pub async fn retry_delivery(&self, tenant: &str, id: &DeliveryId) -> Result<()> {
        twin!(self, deliveries::retry(tenant, id, Millis::now()))
    }
}
