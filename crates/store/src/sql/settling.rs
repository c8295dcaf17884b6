//! An item gets its one outcome: decision, progress and what the webhook is told, in one commit.

use super::chain::Chain;
use super::dialect::LOCK_JOB;
use super::{decisions, deliveries};
use crate::decision::NewDecision;
use crate::delivery::Event;
use crate::entry::Applied;
use crate::error::{Result, StoreError};
use crate::id::{DecisionId, ItemId, JobId};
use crate::job::Completion;
use crate::seal::Words;
use crate::time::Millis;

/// A job's tenant, its key, whether content is kept, and when it was finished.
pub(crate) type LockedJob = (String, Option<String>, i64, Option<i64>);

/// The item's state, its decision and its job.
type Settling = (String, Option<String>, String);

/// Settles an item: decision, progress and what the webhook is told, in one commit, once.
pub(crate) async fn complete(
    chain: &mut Chain,
    item: &ItemId,
    new: &NewDecision,
    words: Option<&Words>,
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
             worker = NULL, lease_until = NULL, words = $4 \
         WHERE id = $1",
    )
    .bind(item.as_str())
    .bind(new.id.as_str())
    .bind(new.at.0)
    .bind(words.map(serde_json::to_string).transpose()?)
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
