//! Jobs.

use std::time::Duration;

use policy::Content;

use super::{Store, page_of, twin};
use crate::decision::NewDecision;
use crate::entry::{Applied, Entry};
use crate::error::{Result, StoreError};
use crate::id::{FileId, ItemId, JobId, KeyId};
use crate::job::{Backlog, Completion, Item, Job, LeasedItem, MAX_ITEMS, NewJob};
use crate::seal::Words;
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

    /// The same for items that are open behind the deadline of a job that gives up on them.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn lease_overdue(
        &self,
        worker: &str,
        n_items: usize,
        lease: Duration,
    ) -> Result<Vec<LeasedItem>> {
        twin!(self, jobs::lease_overdue(worker, page_of(n_items), lease, Millis::now()))
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
    /// kept are the job's. The words are for whoever reads the job's items, and stay until they are forgotten,
    /// erased or concluded, whether content is kept or not.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] without such an item; [`StoreError::Conflict`] if the decision's id is taken.
    pub async fn complete(
        &self,
        item: &ItemId,
        decision: NewDecision,
        words: Option<Words>,
    ) -> Result<Completion> {
        let entry = Entry::Completion(item.clone(), Box::new(decision), words);
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
        twin!(self, jobs_read::one(tenant, id))
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
        twin!(self, jobs_read::page(tenant, kind, before, page_of(limit)))
    }

    /// Items of a job by position, from behind the position given.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn items(&self, job: &JobId, after: Option<i64>, limit: usize) -> Result<Vec<Item>> {
        twin!(self, jobs_read::items(job, after, page_of(limit)))
    }

    /// One item.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] without such an item.
    pub async fn item(&self, id: &ItemId) -> Result<Item> {
        twin!(self, jobs_read::item(id))
    }

    /// The content of an item that is still to be judged; `None` afterwards.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] without such an item.
    pub async fn item_content(&self, item: &ItemId) -> Result<Option<Content>> {
        twin!(self, jobs_read::content(item))
    }

    /// How many items wait or are being judged, in all jobs.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn n_open_items(&self) -> Result<i64> {
        twin!(self, jobs_read::n_open())
    }

    /// How many names (`custom_id`) a job's items have, and how many of these have items open.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn n_names(&self, job: &JobId) -> Result<(i64, i64)> {
        twin!(self, jobs_read::n_names(job))
    }

    /// How many items wait or are being judged that one key asked for.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn n_open_items_of(&self, key: &KeyId) -> Result<i64> {
        twin!(self, jobs_read::n_open_of(key))
    }

    /// What is open, in all jobs of all tenants.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn backlog(&self) -> Result<Backlog> {
        twin!(self, jobs_read::backlog())
    }

    /// Finished jobs of a kind without a conclusion, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn unconcluded(&self, kind: &str, limit: usize) -> Result<Vec<Job>> {
        twin!(self, jobs_read::unconcluded(kind, page_of(limit)))
    }

    /// Writes what a finished job came to and finishes the files made for it, in one commit, once; the words of
    /// its items are forgotten. `false` if another did it before, or the job is not finished.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn conclude(&self, id: &JobId, files: &[FileId], conclusion: &str) -> Result<bool> {
        twin!(self, jobs::conclude(id, files, conclusion, Millis::now()))
    }

    /// Forgets the words of items that were decided before; returns of how many.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn forget_words(&self, before: Millis) -> Result<u64> {
        twin!(self, jobs::forget_words(before))
    }

    /// Removes jobs that were finished before, oldest first and at most `limit`, with their items and messages;
    /// returns how many. Jobs of the kind that leaves a conclusion stay until they have it, and any stays while a
    /// message is due. Decisions stay for good; a `request_key` can be used anew.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn prune_jobs(
        &self,
        before: Millis,
        concluding: &str,
        limit: usize,
    ) -> Result<usize> {
        let old = twin!(self, pruning::old_jobs(before, concluding, page_of(limit)))?;
        let mut n_removed = 0;
        for id in &old {
            n_removed += usize::from(twin!(self, pruning::remove_job(id))?);
        }
        Ok(n_removed)
    }

    /// Jobs whose deadline has passed with items open, each returned once in its life; their webhooks are
    /// told in the same commit.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn note_deadlines(&self, limit: usize) -> Result<Vec<JobId>> {
        twin!(self, jobs::note_deadlines(page_of(limit), Millis::now()))
    }
}
