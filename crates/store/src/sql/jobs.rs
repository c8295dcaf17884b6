//! Jobs: accepted, leased, completed, cancelled, read.

use std::time::Duration;

use policy::Content;

use super::chain::Chain;
use super::dialect::{LEASE_ITEMS, LOCK_JOB, NOTE_DEADLINES};
use super::{Db, decisions, deliveries};
use crate::decision::NewDecision;
use crate::entry::Applied;
use crate::error::{Result, StoreError};
use crate::id::{DecisionId, ItemId, JobId};
use crate::job::{Completion, Event, Item, Job, LeasedItem, NewJob};
use crate::row::{ItemRow, JobRow, LeaseRow};
use crate::time::Millis;

/// Accepts a job: when this returns, it is on the disk. The flag says whether it is new.
pub(crate) async fn accept(db: &Db, new: &NewJob, now: Millis) -> Result<(JobId, bool)> {
    let id = JobId::new(now)?;
    let mut tx = db.begin().await?;
    let inserted = sqlx::query(
        "INSERT INTO jobs (id, tenant, key_id, request_key, kind, priority, accepted_at, \
             deadline_at, webhook, notify, keep_content, details, n_items, n_done, n_cancelled, \
             finished_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, 0, $14) \
         ON CONFLICT (tenant, request_key) DO NOTHING",
    )
    .bind(id.as_str())
    .bind(&new.tenant)
    .bind(new.key.as_ref().map(|key| key.as_str()))
    .bind(new.request_key.as_deref())
    .bind(&new.kind)
    .bind(new.priority)
    .bind(now.0)
    .bind(new.deadline_at.map(|at| at.0))
    .bind(new.webhook.as_deref())
    .bind(new.notify.word())
    .bind(i64::from(new.keep_content))
    .bind(&new.details)
    .bind(i64::try_from(new.items.len()).unwrap_or(i64::MAX))
    .bind(new.items.is_empty().then_some(now.0))
    .execute(&mut *tx)
    .await?;
    if inserted.rows_affected() == 0 {
        let (first,): (String,) =
            sqlx::query_as("SELECT id FROM jobs WHERE tenant = $1 AND request_key = $2")
                .bind(&new.tenant)
                .bind(new.request_key.as_deref())
                .fetch_one(&mut *tx)
                .await?;
        return Ok((first.parse()?, false));
    }
    // With nothing to do it is finished as it comes, and nothing else will tell of it.
    if let (true, Some(url)) = (new.items.is_empty(), &new.webhook) {
        let told = deliveries::Told { job: &id, tenant: &new.tenant, url, at: now };
        told.write(&mut tx, Event::JobFinished, None).await?;
    }
    for (position, item) in (0i64..).zip(&new.items) {
        sqlx::query(
            "INSERT INTO items (id, job_id, position, custom_id, policy_name, policy_id, content, \
                 details, priority, state, attempts) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'waiting', 0)",
        )
        .bind(ItemId::new(now)?.as_str())
        .bind(id.as_str())
        .bind(position)
        .bind(item.custom_id.as_deref())
        .bind(&item.policy.name)
        .bind(&item.policy.id.0)
        .bind(serde_json::to_string(&item.content)?)
        .bind(&item.details)
        .bind(new.priority)
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok((id, true))
}

pub(crate) async fn lease(
    db: &Db,
    worker: &str,
    n_items: i64,
    lease: Duration,
    now: Millis,
) -> Result<Vec<LeasedItem>> {
    let mut tx = db.begin().await?;
    let mut rows: Vec<LeaseRow> = sqlx::query_as(LEASE_ITEMS)
        .bind(now.0)
        .bind(n_items)
        .bind(worker)
        .bind(now.after(lease).0)
        .fetch_all(&mut *tx)
        .await?;
    tx.commit().await?;
    rows.sort_by_cached_key(LeaseRow::place);
    rows.into_iter().map(LeaseRow::parsed).collect()
}

/// Prolongs a lease that its worker still holds; `false` if it lost it.
pub(crate) async fn renew(db: &Db, item: &ItemId, worker: &str, until: Millis) -> Result<bool> {
    let mut tx = db.begin().await?;
    let done = sqlx::query(
        "UPDATE items SET lease_until = $3 WHERE id = $1 AND worker = $2 AND state = 'leased'",
    )
    .bind(item.as_str())
    .bind(worker)
    .bind(until.0)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(done.rows_affected() > 0)
}

/// Gives back what a worker holds, as at shutdown; the attempt does not count.
pub(crate) async fn release(db: &Db, worker: &str) -> Result<u64> {
    let mut tx = db.begin().await?;
    let done = sqlx::query(
        "UPDATE items SET state = 'waiting', worker = NULL, lease_until = NULL, \
             attempts = attempts - 1 \
         WHERE worker = $1 AND state = 'leased'",
    )
    .bind(worker)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}

/// A job's tenant, its key, whether content is kept, and when it was finished.
type LockedJob = (String, Option<String>, i64, Option<i64>);

/// The item's state, its decision and its job.
type Settling = (String, Option<String>, String);

/// Settles an item: decision, progress and what the webhook is told, in one commit, once.
pub(crate) async fn complete(
    chain: &mut Chain,
    item: &ItemId,
    new: &NewDecision,
) -> Result<Applied> {
    let Some((_, _, job)) = settling(chain, item).await? else {
        return Err(StoreError::unknown("item", item));
    };
    let job: JobId = job.parse()?;
    let (tenant, key, keep_content, _): LockedJob =
        sqlx::query_as(LOCK_JOB).bind(job.as_str()).fetch_one(&mut *chain.tx).await?;
    // Read again: only now nobody else can change it.
    let (state, decision, _) =
        settling(chain, item).await?.ok_or_else(|| StoreError::unknown("item", item))?;
    if state == "cancelled" {
        return Ok(Applied::Completion(Completion::Cancelled));
    }
    if let Some(decision) = decision {
        return Ok(Applied::Completion(Completion::Already(decision.parse()?)));
    }
    let present: Option<(i64,)> = sqlx::query_as("SELECT seq FROM records WHERE id = $1")
        .bind(new.id.as_str())
        .fetch_optional(&mut *chain.tx)
        .await?;
    if present.is_some() {
        let why = "is the decision on something else";
        return Err(StoreError::Conflict { what: "decision", id: new.id.to_string(), why });
    }
    let mut new = new.clone();
    new.keep_content = keep_content != 0;
    new.origin.tenant = tenant;
    new.origin.key = key.map(|key| key.parse()).transpose()?;
    let sealed = new.seal(Some((&job, item)))?;
    sqlx::query(
        "UPDATE items SET state = 'done', decision_id = $2, done_at = $3, content = NULL, \
             worker = NULL, lease_until = NULL \
         WHERE id = $1",
    )
    .bind(item.as_str())
    .bind(new.id.as_str())
    .bind(new.at.0)
    .execute(&mut *chain.tx)
    .await?;
    decisions::write(chain, &sealed).await?;
    progress(chain, &job, item, &new.id, new.at).await?;
    Ok(Applied::Completion(Completion::Stored(Box::new(sealed.decision))))
}

async fn settling(chain: &mut Chain, item: &ItemId) -> Result<Option<Settling>> {
    Ok(sqlx::query_as("SELECT state, decision_id, job_id FROM items WHERE id = $1")
        .bind(item.as_str())
        .fetch_optional(&mut *chain.tx)
        .await?)
}

/// Counts the item as done and writes what the webhook is told.
async fn progress(
    chain: &mut Chain,
    job: &JobId,
    item: &ItemId,
    decision: &DecisionId,
    at: Millis,
) -> Result<()> {
    let (tenant, webhook, notify, finished_at): (String, Option<String>, String, Option<i64>) =
        sqlx::query_as(
            "UPDATE jobs SET n_done = n_done + 1, \
                 finished_at = CASE WHEN n_done + 1 + n_cancelled >= n_items THEN $2 END \
             WHERE id = $1 RETURNING tenant, webhook, notify, finished_at",
        )
        .bind(job.as_str())
        .bind(at.0)
        .fetch_one(&mut *chain.tx)
        .await?;
    let Some(url) = webhook else { return Ok(()) };
    let told = deliveries::Told { job, tenant: &tenant, url: &url, at };
    if notify == "items" {
        told.write(&mut chain.tx, Event::ItemDone, Some((item, decision))).await?;
    }
    if finished_at.is_some() {
        told.write(&mut chain.tx, Event::JobFinished, None).await?;
    }
    Ok(())
}

/// Cancels what has no decision yet, and erases its content; returns how many items that were.
pub(crate) async fn cancel(db: &Db, tenant: &str, id: &JobId, now: Millis) -> Result<u64> {
    let mut tx = db.begin().await?;
    let job: Option<LockedJob> =
        sqlx::query_as(LOCK_JOB).bind(id.as_str()).fetch_optional(&mut *tx).await?;
    match job {
        Some((owner, _, _, finished_at)) if owner == tenant => {
            if finished_at.is_some() {
                return Ok(0);
            }
        }
        _ => return Err(StoreError::unknown("job", id)),
    }
    let cancelled = sqlx::query(
        "UPDATE items SET state = 'cancelled', content = NULL, worker = NULL, lease_until = NULL \
         WHERE job_id = $1 AND state IN ('waiting', 'leased')",
    )
    .bind(id.as_str())
    .execute(&mut *tx)
    .await?
    .rows_affected();
    let (webhook,): (Option<String>,) = sqlx::query_as(
        "UPDATE jobs SET cancelled_at = $2, finished_at = $2, n_cancelled = n_cancelled + $3 \
         WHERE id = $1 RETURNING webhook",
    )
    .bind(id.as_str())
    .bind(now.0)
    .bind(i64::try_from(cancelled).unwrap_or(i64::MAX))
    .fetch_one(&mut *tx)
    .await?;
    if let Some(url) = webhook {
        let told = deliveries::Told { job: id, tenant, url: &url, at: now };
        told.write(&mut tx, Event::JobFinished, None).await?;
    }
    tx.commit().await?;
    Ok(cancelled)
}

/// Jobs whose deadline has passed with items open, each once; their webhooks are told.
pub(crate) async fn note_deadlines(db: &Db, n_jobs: i64, now: Millis) -> Result<Vec<JobId>> {
    let mut tx = db.begin().await?;
    let rows: Vec<(String, String, Option<String>)> =
        sqlx::query_as(NOTE_DEADLINES).bind(now.0).bind(n_jobs).fetch_all(&mut *tx).await?;
    let mut jobs = Vec::with_capacity(rows.len());
    for (id, tenant, webhook) in rows {
        let id: JobId = id.parse()?;
        if let Some(url) = webhook {
            let told = deliveries::Told { job: &id, tenant: &tenant, url: &url, at: now };
            told.write(&mut tx, Event::DeadlinePassed, None).await?;
        }
        jobs.push(id);
    }
    tx.commit().await?;
    Ok(jobs)
}

const JOB_COLUMNS: &str = "SELECT id, tenant, key_id, kind, priority, accepted_at, deadline_at, \
    webhook, details, n_items, n_done, n_cancelled, cancelled_at, finished_at FROM jobs ";

pub(crate) async fn one(db: &Db, tenant: Option<&str>, id: &JobId) -> Result<Job> {
    let query =
        format!("{JOB_COLUMNS} WHERE id = $1 AND (CAST($2 AS TEXT) IS NULL OR tenant = $2)");
    let row: Option<JobRow> = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(id.as_str())
        .bind(tenant)
        .fetch_optional(db.reader())
        .await?;
    row.ok_or_else(|| StoreError::unknown("job", id))?.parsed()
}

/// Jobs, newest first, from before the one given.
pub(crate) async fn page(
    db: &Db,
    tenant: &str,
    kind: Option<&str>,
    before: Option<&JobId>,
    limit: i64,
) -> Result<Vec<Job>> {
    let query = format!(
        "{JOB_COLUMNS} WHERE tenant = $1 AND (CAST($2 AS TEXT) IS NULL OR kind = $2) \
           AND (CAST($3 AS TEXT) IS NULL OR id < $3) ORDER BY id DESC LIMIT $4"
    );
    let rows: Vec<JobRow> = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(tenant)
        .bind(kind)
        .bind(before.map(|id| id.as_str()))
        .bind(limit)
        .fetch_all(db.reader())
        .await?;
    rows.into_iter().map(JobRow::parsed).collect()
}

/// Items of a job by position, from behind the position given.
pub(crate) async fn items(
    db: &Db,
    job: &JobId,
    after: Option<i64>,
    limit: i64,
) -> Result<Vec<Item>> {
    let rows: Vec<ItemRow> = sqlx::query_as(
        "SELECT id, position, custom_id, policy_name, policy_id, state, attempts, decision_id, \
             done_at FROM items WHERE job_id = $1 AND position > $2 ORDER BY position LIMIT $3",
    )
    .bind(job.as_str())
    .bind(after.unwrap_or(-1))
    .bind(limit)
    .fetch_all(db.reader())
    .await?;
    rows.into_iter().map(ItemRow::parsed).collect()
}

/// How many items wait or are leased, in all jobs.
pub(crate) async fn n_open(db: &Db) -> Result<i64> {
    let (n,): (i64,) =
        sqlx::query_as("SELECT COUNT(*) FROM items WHERE state IN ('waiting', 'leased')")
            .fetch_one(db.reader())
            .await?;
    Ok(n)
}

/// The content of an item that is still to be judged.
pub(crate) async fn content(db: &Db, item: &ItemId) -> Result<Option<Content>> {
    let row: Option<(Option<String>,)> = sqlx::query_as("SELECT content FROM items WHERE id = $1")
        .bind(item.as_str())
        .fetch_optional(db.reader())
        .await?;
    let (text,) = row.ok_or_else(|| StoreError::unknown("item", item))?;
    text.map(|text| crate::row::content(&text, item.as_str())).transpose()
}
