//! API keys.

use super::Db;
use crate::error::{Result, StoreError};
use crate::id::KeyId;
use crate::key::{self, ApiKey, Grants, KeyUsage, NewKey, Secret};
use crate::time::Millis;

type Row = (String, String, String, String, i64, Option<i64>, Option<i64>);
/// The same behind the hash.
type HashedRow = (Vec<u8>, String, String, String, String, i64, Option<i64>, Option<i64>);

pub(crate) async fn create(db: &Db, new: &NewKey, now: Millis) -> Result<(ApiKey, Secret)> {
    let id = KeyId::new(now)?;
    let secret = Secret::random(&id)?;
    let mut tx = db.begin().await?;
    sqlx::query(
        "INSERT INTO api_keys (id, tenant, name, hash, grants, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(id.as_str())
    .bind(&new.tenant)
    .bind(&new.name)
    .bind(&key::hash(secret.reveal())[..])
    .bind(serde_json::to_string(&new.grants)?)
    .bind(now.0)
    .bind(new.expires_at.map(|at| at.0))
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    let key = ApiKey {
        id,
        tenant: new.tenant.clone(),
        name: new.name.clone(),
        grants: new.grants.clone(),
        created_at: now,
        expires_at: new.expires_at,
        revoked_at: None,
    };
    Ok((key, secret))
}

/// The key of a presented secret, whether it is still valid or not; `None` for any that is not ours.
pub(crate) async fn of_secret(db: &Db, presented: &str) -> Result<Option<ApiKey>> {
    let Some(id) = key::claimed_id(presented) else { return Ok(None) };
    let row: Option<HashedRow> = sqlx::query_as(
        "SELECT hash, id, tenant, name, grants, created_at, expires_at, revoked_at \
         FROM api_keys WHERE id = $1",
    )
    .bind(id.as_str())
    .fetch_optional(db.reader())
    .await?;
    match row {
        Some((hash, id, tenant, name, grants, created_at, expires_at, revoked_at))
            if key::is_same(presented, &hash) =>
        {
            parsed((id, tenant, name, grants, created_at, expires_at, revoked_at)).map(Some)
        }
        _ => Ok(None),
    }
}

/// Whether there is any key, or was.
pub(crate) async fn exist(db: &Db) -> Result<bool> {
    let row: Option<(i64,)> = sqlx::query_as("SELECT created_at FROM api_keys LIMIT 1")
        .fetch_optional(db.reader())
        .await?;
    Ok(row.is_some())
}

/// Keys of a tenant, or of all, oldest first.
pub(crate) async fn list(db: &Db, tenant: Option<&str>) -> Result<Vec<ApiKey>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, tenant, name, grants, created_at, expires_at, revoked_at FROM api_keys \
         WHERE CAST($1 AS TEXT) IS NULL OR tenant = $1 ORDER BY id",
    )
    .bind(tenant)
    .fetch_all(db.reader())
    .await?;
    rows.into_iter().map(parsed).collect()
}

pub(crate) async fn usage(db: &Db, id: &KeyId, at: Millis) -> Result<KeyUsage> {
    let row: Option<(i64, i64)> =
        sqlx::query_as("SELECT n_items, n_tokens FROM key_usage WHERE key_id = $1 AND day = $2")
            .bind(id.as_str())
            .bind(at.day())
            .fetch_optional(db.reader())
            .await?;
    let (n_items, n_tokens) = row.unwrap_or_default();
    Ok(KeyUsage { n_items, n_tokens })
}

/// Ends a key; one that has ended already stays as it is.
pub(crate) async fn revoke(db: &Db, tenant: Option<&str>, id: &KeyId, now: Millis) -> Result<()> {
    let mut tx = db.begin().await?;
    let done = sqlx::query(
        "UPDATE api_keys SET revoked_at = COALESCE(revoked_at, $2) \
         WHERE id = $1 AND (CAST($3 AS TEXT) IS NULL OR tenant = $3)",
    )
    .bind(id.as_str())
    .bind(now.0)
    .bind(tenant)
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Err(StoreError::unknown("key", id));
    }
    Ok(tx.commit().await?)
}

fn parsed((id, tenant, name, grants, created_at, expires_at, revoked_at): Row) -> Result<ApiKey> {
    let grants: Grants = serde_json::from_str(&grants).map_err(|_| StoreError::Row {
        table: "api_keys",
        id: id.clone(),
        column: "grants",
    })?;
    Ok(ApiKey {
        id: id.parse()?,
        tenant,
        name,
        grants,
        created_at: Millis(created_at),
        expires_at: expires_at.map(Millis),
        revoked_at: revoked_at.map(Millis),
    })
}
