//! Jobs: accepted, leased, cancelled, concluded. Their items are settled in `settling.rs`.

use std::time::Duration;

use super::dialect::{LEASE_ITEMS, LEASE_OVERDUE, LOCK_JOB, NOTE_DEADLINES};
use super::settling::LockedJob;
use super::{Db, deliveries, files};
use crate::delivery::Event;
use crate::error::{Result, StoreError};
use crate::id::{FileId, ItemId, JobId};
use crate::job::{LeasedItem, NewJob};
use crate::row::LeaseRow;
use crate::time::Millis;

/// Accepts a job: when this returns, it is on the disk. The flag says whether it is new.
pub(crate) async fn accept(db: &Db, new: &NewJob, now: Millis) -> Result<(JobId, bool)> {
    let id = JobId::new(now)?;
    let mut tx = db.begin().await?;
    let inserted = sqlx::query(
        "INSERT INTO jobs (id, tenant, key_id, request_key, kind, priority, accepted_at, \
             deadline_at, on_deadline, webhook, notify, keep_content, details, n_items, n_done, \
             n_cancelled, finished_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, 0, $15) \
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
    .bind(new.on_deadline.word())
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
    hand_out(db, LEASE_ITEMS, worker, n_items, lease, now).await
}

/// The same for items of jobs that gave up on them at their deadline.
pub(crate) async fn lease_overdue(
    db: &Db,
    worker: &str,
    n_items: i64,
    lease: Duration,
    now: Millis,
) -> Result<Vec<LeasedItem>> {
    hand_out(db, LEASE_OVERDUE, worker, n_items, lease, now).await
}

async fn hand_out(
    db: &Db,
    query: &'static str,
    worker: &str,
    n_items: i64,
    lease: Duration,
    now: Millis,
) -> Result<Vec<LeasedItem>> {
    let mut tx = db.begin().await?;
    let mut rows: Vec<LeaseRow> = sqlx::query_as(query)
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

/// Writes what a finished job came to, once, together with the end of the files that it made; the words that
/// were kept for it go. `false` if that was done before.
pub(crate) async fn conclude(
    db: &Db,
    id: &JobId,
    files: &[FileId],
    conclusion: &str,
    now: Millis,
) -> Result<bool> {
    let mut tx = db.begin().await?;
    let done = sqlx::query(
        "UPDATE jobs SET conclusion = $2 \
         WHERE id = $1 AND conclusion IS NULL AND finished_at IS NOT NULL",
    )
    .bind(id.as_str())
    .bind(conclusion)
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    for file in files {
        files::end(&mut tx, file, now).await?;
    }
    sqlx::query("UPDATE items SET words = NULL WHERE job_id = $1 AND words IS NOT NULL")
        .bind(id.as_str())
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(true)
}

/// Forgets the words of items that were decided before; returns of how many.
pub(crate) async fn forget_words(db: &Db, before: Millis) -> Result<u64> {
    let mut tx = db.begin().await?;
    let done =
        sqlx::query("UPDATE items SET words = NULL WHERE words IS NOT NULL AND done_at < $1")
            .bind(before.0)
            .execute(&mut *tx)
            .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}
