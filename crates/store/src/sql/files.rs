//! Files in chunks, so that none is ever whole in memory.

use sqlx::Transaction;

use super::Db;
use super::dialect::Driver;
use crate::error::{Result, StoreError};
use crate::file::File;
use crate::id::FileId;
use crate::time::Millis;

type Row = (String, String, String, String, i64, i64, Option<i64>, Option<i64>);

pub(crate) async fn begin(
    db: &Db,
    tenant: &str,
    name: &str,
    purpose: &str,
    now: Millis,
) -> Result<FileId> {
    let id = FileId::new(now)?;
    let mut tx = db.begin().await?;
    sqlx::query(
        "INSERT INTO files (id, tenant, name, purpose, n_bytes, created_at) \
         VALUES ($1, $2, $3, $4, 0, $5)",
    )
    .bind(id.as_str())
    .bind(tenant)
    .bind(name)
    .bind(purpose)
    .bind(now.0)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(id)
}

pub(crate) async fn add(db: &Db, id: &FileId, bytes: &[u8]) -> Result<()> {
    let mut tx = db.begin().await?;
    let done = sqlx::query(
        "UPDATE files SET n_bytes = n_bytes + $2 WHERE id = $1 AND complete_at IS NULL",
    )
    .bind(id.as_str())
    .bind(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Err(StoreError::unknown("unfinished file", id));
    }
    sqlx::query(
        "INSERT INTO file_chunks (file_id, chunk_idx, bytes) \
         SELECT $1, COUNT(*), $2 FROM file_chunks WHERE file_id = $1",
    )
    .bind(id.as_str())
    .bind(bytes)
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

pub(crate) async fn finish(
    db: &Db,
    id: &FileId,
    expires_at: Option<Millis>,
    now: Millis,
) -> Result<()> {
    let mut tx = db.begin().await?;
    if let Some(at) = expires_at {
        sqlx::query("UPDATE files SET expires_at = $2 WHERE id = $1 AND complete_at IS NULL")
            .bind(id.as_str())
            .bind(at.0)
            .execute(&mut *tx)
            .await?;
    }
    end(&mut tx, id, now).await?;
    Ok(tx.commit().await?)
}

/// Makes a file whole as part of something else.
pub(crate) async fn end(
    tx: &mut Transaction<'static, Driver>,
    id: &FileId,
    now: Millis,
) -> Result<()> {
    sqlx::query("UPDATE files SET complete_at = COALESCE(complete_at, $2) WHERE id = $1")
        .bind(id.as_str())
        .bind(now.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// One that has not expired.
pub(crate) async fn one(db: &Db, tenant: &str, id: &FileId, now: Millis) -> Result<File> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT id, tenant, name, purpose, n_bytes, created_at, complete_at, expires_at FROM files \
         WHERE id = $1 AND tenant = $2 AND (expires_at IS NULL OR expires_at > $3)",
    )
    .bind(id.as_str())
    .bind(tenant)
    .bind(now.0)
    .fetch_optional(db.reader())
    .await?;
    parsed(row.ok_or_else(|| StoreError::unknown("file", id))?)
}

/// Complete files that have not expired, newest first, from before the one given.
pub(crate) async fn page(
    db: &Db,
    tenant: &str,
    purpose: Option<&str>,
    before: Option<&FileId>,
    limit: i64,
    now: Millis,
) -> Result<Vec<File>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, tenant, name, purpose, n_bytes, created_at, complete_at, expires_at FROM files \
         WHERE tenant = $1 AND complete_at IS NOT NULL \
           AND (expires_at IS NULL OR expires_at > $5) \
           AND (CAST($2 AS TEXT) IS NULL OR purpose = $2) \
           AND (CAST($3 AS TEXT) IS NULL OR id < $3) ORDER BY id DESC LIMIT $4",
    )
    .bind(tenant)
    .bind(purpose)
    .bind(before.map(|id| id.as_str()))
    .bind(limit)
    .bind(now.0)
    .fetch_all(db.reader())
    .await?;
    rows.into_iter().map(parsed).collect()
}

/// The chunk of this number, from 0; `None` behind the last.
pub(crate) async fn chunk(db: &Db, id: &FileId, chunk_idx: i64) -> Result<Option<Vec<u8>>> {
    let row: Option<(Vec<u8>,)> =
        sqlx::query_as("SELECT bytes FROM file_chunks WHERE file_id = $1 AND chunk_idx = $2")
            .bind(id.as_str())
            .bind(chunk_idx)
            .fetch_optional(db.reader())
            .await?;
    Ok(row.map(|(bytes,)| bytes))
}

pub(crate) async fn delete(db: &Db, tenant: &str, id: &FileId) -> Result<()> {
    let mut tx = db.begin().await?;
    let done = sqlx::query("DELETE FROM files WHERE id = $1 AND tenant = $2")
        .bind(id.as_str())
        .bind(tenant)
        .execute(&mut *tx)
        .await?;
    if done.rows_affected() == 0 {
        return Err(StoreError::unknown("file", id));
    }
    Ok(tx.commit().await?)
}

/// Removes files that were begun before and never finished, as by a client that hung up.
pub(crate) async fn sweep(db: &Db, before: Millis) -> Result<u64> {
    let mut tx = db.begin().await?;
    let done = sqlx::query("DELETE FROM files WHERE complete_at IS NULL AND created_at < $1")
        .bind(before.0)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}

fn parsed(row: Row) -> Result<File> {
    let (id, tenant, name, purpose, n_bytes, created_at, complete_at, expires_at) = row;
    Ok(File {
        id: id.parse()?,
        tenant,
        name,
        purpose,
        n_bytes,
        created_at: Millis(created_at),
        complete_at: complete_at.map(Millis),
        expires_at: expires_at.map(Millis),
    })
}
