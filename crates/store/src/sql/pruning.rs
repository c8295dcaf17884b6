//! What is old goes: finished jobs with their items and messages, and files. Decisions and their chain stay.

use super::Db;
use super::dialect::LOCK_JOB;
use super::settling::LockedJob;
use crate::error::Result;
use crate::id::JobId;
use crate::time::Millis;

/// Jobs that were finished before, oldest first, as far as nothing is left to do for them: no message is due, and
/// those of the kind that leaves a conclusion have left it.
pub(crate) async fn old_jobs(
    db: &Db,
    before: Millis,
    concluding: &str,
    limit: i64,
) -> Result<Vec<JobId>> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "SELECT id FROM jobs \
         WHERE finished_at IS NOT NULL AND finished_at < $1 \
           AND (kind <> $2 OR conclusion IS NOT NULL) \
           AND NOT EXISTS (SELECT 1 FROM deliveries \
               WHERE deliveries.job_id = jobs.id AND next_at IS NOT NULL) \
         ORDER BY finished_at LIMIT $3",
    )
    .bind(before.0)
    .bind(concluding)
    .bind(limit)
    .fetch_all(db.reader())
    .await?;
    rows.into_iter().map(|(id,)| id.parse()).collect()
}

/// Removes a finished job with all that hangs on it; `false` if another was faster, or a message has become due again.
pub(crate) async fn remove_job(db: &Db, id: &JobId) -> Result<bool> {
    let mut tx = db.begin().await?;
    let job: Option<LockedJob> =
        sqlx::query_as(LOCK_JOB).bind(id.as_str()).fetch_optional(&mut *tx).await?;
    let is_finished = job.is_some_and(|(_, _, _, finished_at)| finished_at.is_some());
    let (n_due,): (i64,) =
        sqlx::query_as("SELECT COUNT(*) FROM deliveries WHERE job_id = $1 AND next_at IS NOT NULL")
            .bind(id.as_str())
            .fetch_one(&mut *tx)
            .await?;
    if !is_finished || n_due > 0 {
        return Ok(false);
    }
    for statement in [
        "DELETE FROM deliveries WHERE job_id = $1",
        "DELETE FROM items WHERE job_id = $1",
        "DELETE FROM jobs WHERE id = $1",
    ] {
        sqlx::query(statement).bind(id.as_str()).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// Removes finished files that were begun before, and those that have expired; returns how many.
pub(crate) async fn remove_files(db: &Db, before: Millis, limit: i64, now: Millis) -> Result<u64> {
    let mut tx = db.begin().await?;
    let done = sqlx::query(
        "DELETE FROM files WHERE id IN ( \
             SELECT id FROM files \
             WHERE complete_at IS NOT NULL AND (created_at < $1 OR expires_at <= $2) \
             ORDER BY created_at LIMIT $3)",
    )
    .bind(before.0)
    .bind(now.0)
    .bind(limit)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}
