//! Deliveries to webhooks: written with what they tell of, tried until heard or dead.

use std::time::Duration;

use sqlx::Transaction;

use super::Db;
use super::dialect::{Driver, LEASE_DELIVERIES};
use crate::delivery::{Backoff, Delivery, DeliveryState, Event};
use crate::error::{Result, StoreError};
use crate::id::{DecisionId, DeliveryId, ItemId, JobId};
use crate::row::DeliveryRow;
use crate::time::Millis;

/// Most letters kept of an error.
const MAX_ERROR: usize = 500;

/// Whom a delivery is for.
pub(crate) struct Told<'a> {
    pub(crate) job: &'a JobId,
    pub(crate) tenant: &'a str,
    pub(crate) url: &'a str,
    pub(crate) at: Millis,
}

impl Told<'_> {
    pub(crate) async fn write(
        &self,
        tx: &mut Transaction<'static, Driver>,
        event: Event,
        done: Option<(&ItemId, &DecisionId)>,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO deliveries (id, job_id, tenant, event, item_id, decision_id, url, \
                 created_at, attempts, next_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $8)",
        )
        .bind(DeliveryId::new(self.at)?.as_str())
        .bind(self.job.as_str())
        .bind(self.tenant)
        .bind(event.word())
        .bind(done.map(|(item, _)| item.as_str()))
        .bind(done.map(|(_, decision)| decision.as_str()))
        .bind(self.url)
        .bind(self.at.0)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

/// Hands out what is due; it is due again after `lease` unless something is heard of it.
pub(crate) async fn lease(db: &Db, n: i64, lease: Duration, now: Millis) -> Result<Vec<Delivery>> {
    let mut tx = db.begin().await?;
    let rows: Vec<DeliveryRow> = sqlx::query_as(LEASE_DELIVERIES)
        .bind(now.0)
        .bind(n)
        .bind(now.after(lease).0)
        .fetch_all(&mut *tx)
        .await?;
    tx.commit().await?;
    let mut deliveries: Vec<_> =
        rows.into_iter().map(DeliveryRow::parsed).collect::<Result<_>>()?;
    deliveries.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(deliveries)
}

pub(crate) async fn delivered(db: &Db, id: &DeliveryId, now: Millis) -> Result<()> {
    let mut tx = db.begin().await?;
    sqlx::query(
        "UPDATE deliveries SET delivered_at = $2, next_at = NULL, dead_at = NULL \
         WHERE id = $1 AND delivered_at IS NULL",
    )
    .bind(id.as_str())
    .bind(now.0)
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

/// Notes a failed try; returns when the next is due, `None` if that was the last.
pub(crate) async fn failed(
    db: &Db,
    id: &DeliveryId,
    error: &str,
    backoff: &Backoff,
    now: Millis,
) -> Result<Option<Millis>> {
    let error: String = error.chars().filter(|&letter| letter != '\0').take(MAX_ERROR).collect();
    let mut tx = db.begin().await?;
    let row: Option<(i64,)> = sqlx::query_as(
        "UPDATE deliveries SET attempts = attempts + 1, last_error = $2 \
         WHERE id = $1 AND delivered_at IS NULL RETURNING attempts",
    )
    .bind(id.as_str())
    .bind(error)
    .fetch_optional(&mut *tx)
    .await?;
    let Some((attempts,)) = row else { return Ok(None) };
    let wait = backoff.wait(u32::try_from(attempts).unwrap_or(u32::MAX));
    let next_at = wait.map(|wait| now.after(wait));
    sqlx::query("UPDATE deliveries SET next_at = $2, dead_at = $3 WHERE id = $1")
        .bind(id.as_str())
        .bind(next_at.map(|at| at.0))
        .bind(next_at.is_none().then_some(now.0))
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(next_at)
}

/// Deliveries of a tenant, newest first, from before the one given; in one state, if one is named.
pub(crate) async fn page(
    db: &Db,
    tenant: &str,
    state: Option<DeliveryState>,
    before: Option<&DeliveryId>,
    limit: i64,
) -> Result<Vec<Delivery>> {
    let rows: Vec<DeliveryRow> = sqlx::query_as(
        "SELECT id, job_id, tenant, event, item_id, decision_id, url, created_at, attempts, \
             next_at, last_error, delivered_at, dead_at FROM deliveries \
         WHERE tenant = $1 AND (CAST($2 AS TEXT) IS NULL OR id < $2) \
           AND (CAST($3 AS TEXT) IS NULL OR $3 = CASE WHEN delivered_at IS NOT NULL THEN 'delivered' \
               WHEN dead_at IS NOT NULL THEN 'dead' ELSE 'due' END) \
         ORDER BY id DESC LIMIT $4",
    )
    .bind(tenant)
    .bind(before.map(|id| id.as_str()))
    .bind(state.map(DeliveryState::word))
    .bind(limit)
    .fetch_all(db.reader())
    .await?;
    rows.into_iter().map(DeliveryRow::parsed).collect()
}

/// Makes a dead delivery due again, with all its tries.
pub(crate) async fn retry(db: &Db, tenant: &str, id: &DeliveryId, now: Millis) -> Result<()> {
    let mut tx = db.begin().await?;
    let done = sqlx::query(
        "UPDATE deliveries SET dead_at = NULL, attempts = 0, next_at = $3 \
         WHERE id = $1 AND tenant = $2 AND dead_at IS NOT NULL",
    )
    .bind(id.as_str())
    .bind(tenant)
    .bind(now.0)
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Err(StoreError::unknown("dead delivery", id));
    }
    Ok(tx.commit().await?)
}
