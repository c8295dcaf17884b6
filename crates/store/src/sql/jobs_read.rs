//! Jobs, read: one, a page, their items, what is open.

use policy::Content;

use super::Db;
use crate::error::{Result, StoreError};
use crate::id::{ItemId, JobId, KeyId};
use crate::job::{Backlog, Item, Job};
use crate::row::{ItemRow, JobRow};

const JOB_COLUMNS: &str = "SELECT id, tenant, key_id, kind, priority, accepted_at, deadline_at, \
    on_deadline, webhook, details, conclusion, n_items, n_done, n_cancelled, cancelled_at, finished_at FROM jobs ";

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

const ITEM_COLUMNS: &str = "SELECT i.id, i.position, i.custom_id, i.policy_name, i.policy_id, \
    i.details, i.state, i.attempts, i.words, i.done_at, r.body \
    FROM items i LEFT JOIN records r ON r.id = i.decision_id ";

pub(crate) async fn item(db: &Db, id: &ItemId) -> Result<Item> {
    let query = format!("{ITEM_COLUMNS} WHERE i.id = $1");
    let row: Option<ItemRow> = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(id.as_str())
        .fetch_optional(db.reader())
        .await?;
    row.ok_or_else(|| StoreError::unknown("item", id))?.parsed()
}

/// Items of a job by position, from behind the position given.
pub(crate) async fn items(
    db: &Db,
    job: &JobId,
    after: Option<i64>,
    limit: i64,
) -> Result<Vec<Item>> {
    let query = format!(
        "{ITEM_COLUMNS} WHERE i.job_id = $1 AND i.position > $2 ORDER BY i.position LIMIT $3"
    );
    let rows: Vec<ItemRow> = sqlx::query_as(sqlx::AssertSqlSafe(query))
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

/// How many of a job's names have items open; the first number counts the names.
pub(crate) async fn n_names(db: &Db, job: &JobId) -> Result<(i64, i64)> {
    Ok(sqlx::query_as(
        "SELECT COUNT(DISTINCT custom_id), \
             COUNT(DISTINCT CASE WHEN state IN ('waiting', 'leased') THEN custom_id END) \
         FROM items WHERE job_id = $1",
    )
    .bind(job.as_str())
    .fetch_one(db.reader())
    .await?)
}

/// Finished jobs of a kind without a conclusion, oldest first.
pub(crate) async fn unconcluded(db: &Db, kind: &str, limit: i64) -> Result<Vec<Job>> {
    let query = format!(
        "{JOB_COLUMNS} WHERE kind = $1 AND finished_at IS NOT NULL AND conclusion IS NULL \
         ORDER BY id LIMIT $2"
    );
    let rows: Vec<JobRow> = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(kind)
        .bind(limit)
        .fetch_all(db.reader())
        .await?;
    rows.into_iter().map(JobRow::parsed).collect()
}

/// How many items wait or are leased that one key asked for.
pub(crate) async fn n_open_of(db: &Db, key: &KeyId) -> Result<i64> {
    let (n,): (i64,) = sqlx::query_as(
        "SELECT CAST(COALESCE(SUM(n_items - n_done - n_cancelled), 0) AS BIGINT) FROM jobs \
         WHERE finished_at IS NULL AND key_id = $1",
    )
    .bind(key.as_str())
    .fetch_one(db.reader())
    .await?;
    Ok(n)
}

/// What is open, in all jobs.
pub(crate) async fn backlog(db: &Db) -> Result<Backlog> {
    let row: (i64, i64, i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT COUNT(*) FROM jobs WHERE finished_at IS NULL), \
             (SELECT COUNT(*) FROM items WHERE state = 'waiting'), \
             (SELECT COUNT(*) FROM items WHERE state = 'leased'), \
             (SELECT COUNT(*) FROM deliveries WHERE next_at IS NOT NULL), \
             (SELECT COUNT(*) FROM deliveries WHERE dead_at IS NOT NULL)",
    )
    .fetch_one(db.reader())
    .await?;
    let (n_jobs, n_waiting, n_leased, n_due, n_dead) = row;
    Ok(Backlog { n_jobs, n_waiting, n_leased, n_due, n_dead })
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
