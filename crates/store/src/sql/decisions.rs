//! Decisions: appended, read, erased.

use policy::Content;

use super::Db;
use super::chain::Chain;
use crate::decision::{Decision, DecisionFilter, NewDecision, SealedDecision, StoredDecision};
use crate::entry::{Applied, Erased, Erasure};
use crate::error::{Result, StoreError};
use crate::id::{DecisionId, RecordId};
use crate::record::{DECISION, ERASURE};
use crate::seal::{Kept, Salt, Words};

/// Stores a decision; one that is there already is returned as it is.
pub(crate) async fn append(chain: &mut Chain, new: &NewDecision) -> Result<Applied> {
    let present: Option<(String, String)> =
        sqlx::query_as("SELECT kind, body FROM records WHERE id = $1")
            .bind(new.id.as_str())
            .fetch_optional(&mut *chain.tx)
            .await?;
    if let Some((_, body)) = present {
        return Ok(Applied::Decision(Box::new(parse(&body, new.id.as_str())?)));
    }
    let sealed = new.seal(None)?;
    write(chain, &sealed).await?;
    Ok(Applied::Decision(Box::new(sealed.decision)))
}

/// Writes the record, the row it is found by, and what is kept apart.
pub(crate) async fn write(chain: &mut Chain, sealed: &SealedDecision) -> Result<()> {
    let decision = &sealed.decision;
    let body = serde_json::to_string(decision)?;
    let seq = chain.append(decision.id.as_str(), DECISION, decision.at.0, body).await?;
    let (outcome, cause) = decision.outcome.names();
    sqlx::query(
        "INSERT INTO decisions (seq, id, tenant, at, policy_name, policy_id, outcome, cause, \
             label, stage, job_id, item_id, shadow_of, attention) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(seq)
    .bind(decision.id.as_str())
    .bind(&decision.origin.tenant)
    .bind(decision.at.0)
    .bind(&decision.policy.name)
    .bind(&decision.policy.id.0)
    .bind(outcome)
    .bind(cause)
    .bind(decision.label.as_deref())
    .bind(decision.stage.name())
    .bind(decision.job.as_ref().map(|id| id.as_str()))
    .bind(decision.item.as_ref().map(|id| id.as_str()))
    .bind(decision.origin.shadow_of.as_ref().map(|id| id.as_str()))
    .bind(decision.attention())
    .execute(&mut *chain.tx)
    .await?;
    let seal = Seal {
        record_id: decision.id.as_str(),
        decision_id: decision.id.as_str(),
        at: decision.at.0,
        salt: &sealed.salt,
        content: sealed.content.as_deref(),
        words: sealed.words.as_deref(),
    };
    seal.write(chain).await?;
    count(chain, decision).await
}

/// Counts the decision for its key. A candidate's is not the caller's to pay.
async fn count(chain: &mut Chain, decision: &Decision) -> Result<()> {
    let Some(key) = &decision.origin.key else { return Ok(()) };
    if decision.origin.shadow_of.is_some() {
        return Ok(());
    }
    let n_tokens = i64::try_from(decision.usage.generated_tokens).unwrap_or(i64::MAX);
    sqlx::query(
        "INSERT INTO key_usage (key_id, day, n_items, n_tokens) VALUES ($1, $2, 1, $3) \
         ON CONFLICT (key_id, day) DO UPDATE SET n_items = key_usage.n_items + 1, \
             n_tokens = key_usage.n_tokens + excluded.n_tokens",
    )
    .bind(key.as_str())
    .bind(decision.at.day())
    .bind(n_tokens)
    .execute(&mut *chain.tx)
    .await?;
    Ok(())
}

/// A row of `sealed`.
pub(crate) struct Seal<'a> {
    pub(crate) record_id: &'a str,
    pub(crate) decision_id: &'a str,
    pub(crate) at: i64,
    pub(crate) salt: &'a Salt,
    pub(crate) content: Option<&'a str>,
    pub(crate) words: Option<&'a str>,
}

impl Seal<'_> {
    pub(crate) async fn write(&self, chain: &mut Chain) -> Result<()> {
        sqlx::query(
            "INSERT INTO sealed (record_id, decision_id, at, salt, content, words) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(self.record_id)
        .bind(self.decision_id)
        .bind(self.at)
        .bind(&self.salt.0[..])
        .bind(self.content)
        .bind(self.words)
        .execute(&mut *chain.tx)
        .await?;
        Ok(())
    }
}

/// Erases content, words and salts, and records that it was done.
pub(crate) async fn erase(chain: &mut Chain, erasure: &Erasure) -> Result<Applied> {
    let erased = match &erasure.what {
        Erased::Decision(id) => {
            let found: Option<(String,)> = sqlx::query_as(
                "SELECT id FROM decisions \
                 WHERE id = $1 AND (CAST($2 AS TEXT) IS NULL OR tenant = $2)",
            )
            .bind(id.as_str())
            .bind(erasure.tenant.as_deref())
            .fetch_optional(&mut *chain.tx)
            .await?;
            found.ok_or_else(|| StoreError::unknown("decision", id))?;
            sqlx::query(
                "UPDATE items SET words = NULL \
                 WHERE id = (SELECT item_id FROM decisions WHERE id = $1) AND words IS NOT NULL",
            )
            .bind(id.as_str())
            .execute(&mut *chain.tx)
            .await?;
            sqlx::query(
                "UPDATE sealed SET salt = NULL, content = NULL, words = NULL \
                 WHERE decision_id = $1 AND salt IS NOT NULL",
            )
            .bind(id.as_str())
            .execute(&mut *chain.tx)
            .await?
        }
        Erased::Before(before) => {
            sqlx::query(
                "UPDATE items SET words = NULL \
                 WHERE words IS NOT NULL AND done_at < $1 AND (CAST($2 AS TEXT) IS NULL OR job_id IN \
                     (SELECT id FROM jobs WHERE tenant = $2))",
            )
            .bind(before.0)
            .bind(erasure.tenant.as_deref())
            .execute(&mut *chain.tx)
            .await?;
            sqlx::query(
                "UPDATE sealed SET salt = NULL, content = NULL, words = NULL \
                 WHERE at < $1 AND salt IS NOT NULL AND (CAST($2 AS TEXT) IS NULL OR decision_id IN \
                     (SELECT id FROM decisions WHERE tenant = $2))",
            )
            .bind(before.0)
            .bind(erasure.tenant.as_deref())
            .execute(&mut *chain.tx)
            .await?
        }
    };
    let n_erased = erased.rows_affected();
    if n_erased > 0 {
        let (decision, before) = match &erasure.what {
            Erased::Decision(id) => (Some(id), None),
            Erased::Before(before) => (None, Some(before)),
        };
        let body = serde_json::json!({
            "tenant": erasure.tenant,
            "decision": decision,
            "before": before,
            "n_erased": n_erased,
            "actor": erasure.actor,
        });
        let id = RecordId::new(erasure.at)?;
        chain.append(id.as_str(), ERASURE, erasure.at.0, body.to_string()).await?;
    }
    Ok(Applied::Erasure(n_erased))
}

pub(crate) async fn one(db: &Db, tenant: Option<&str>, id: &DecisionId) -> Result<StoredDecision> {
    let row: Option<(i64, String)> = sqlx::query_as(
        "SELECT r.seq, r.body FROM decisions d JOIN records r ON r.seq = d.seq \
         WHERE d.id = $1 AND (CAST($2 AS TEXT) IS NULL OR d.tenant = $2)",
    )
    .bind(id.as_str())
    .bind(tenant)
    .fetch_optional(db.reader())
    .await?;
    let (seq, body) = row.ok_or_else(|| StoreError::unknown("decision", id))?;
    Ok(StoredDecision { seq, decision: parse(&body, id.as_str())? })
}

/// What both orders of [`page`] ask for: $1 beside which place, $2 how many, then the filter.
const FILTERED: &str = "AND (CAST($3 AS TEXT) IS NULL OR d.tenant = $3) \
    AND (CAST($4 AS TEXT) IS NULL OR d.policy_name = $4) \
    AND (CAST($5 AS TEXT) IS NULL OR d.policy_id = $5) \
    AND (CAST($6 AS TEXT) IS NULL OR d.outcome = $6) \
    AND (CAST($7 AS TEXT) IS NULL OR d.job_id = $7) \
    AND (CAST($8 AS BIGINT) IS NULL OR d.at >= $8) \
    AND (CAST($9 AS BIGINT) IS NULL OR d.at < $9)";

/// Decisions behind a place of the chain in its order, or before it newest first.
pub(crate) async fn page(
    db: &Db,
    filter: &DecisionFilter,
    beside: i64,
    newest_first: bool,
    limit: i64,
) -> Result<Vec<StoredDecision>> {
    let (side, order) = if newest_first { ("<", "DESC") } else { (">", "ASC") };
    let query = format!(
        "SELECT r.seq, r.id, r.body FROM decisions d JOIN records r ON r.seq = d.seq \
         WHERE d.seq {side} $1 {FILTERED} ORDER BY d.seq {order} LIMIT $2"
    );
    // Safe: the texts put together are this file's own.
    let rows: Vec<(i64, String, String)> = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(beside)
        .bind(limit)
        .bind(filter.tenant.as_deref())
        .bind(filter.policy.as_deref())
        .bind(filter.policy_id.as_deref())
        .bind(filter.outcome.as_deref())
        .bind(filter.job.as_ref().map(|id| id.as_str()))
        .bind(filter.since.map(|at| at.0))
        .bind(filter.until.map(|at| at.0))
        .fetch_all(db.reader())
        .await?;
    rows.into_iter()
        .map(|(seq, id, body)| Ok(StoredDecision { seq, decision: parse(&body, &id)? }))
        .collect()
}

pub(crate) async fn kept(db: &Db, id: &DecisionId) -> Result<Kept> {
    let row: Option<(Option<String>, Option<String>)> =
        sqlx::query_as("SELECT content, words FROM sealed WHERE record_id = $1")
            .bind(id.as_str())
            .fetch_optional(db.reader())
            .await?;
    let (content, words) = row.unwrap_or_default();
    let bad = |column| StoreError::Row { table: "sealed", id: id.to_string(), column };
    let content = content.map(|text| serde_json::from_str::<Content>(&text)).transpose();
    let words = words.map(|text| serde_json::from_str::<Words>(&text)).transpose();
    Ok(Kept {
        content: content.map_err(|_| bad("content"))?,
        words: words.map_err(|_| bad("words"))?,
    })
}

/// Whether this content is what the decision was made on; `None` once its salt is erased.
pub(crate) async fn is_of(db: &Db, id: &DecisionId, content: &Content) -> Result<Option<bool>> {
    let decision = one(db, None, id).await?.decision;
    let row: Option<(Option<Vec<u8>>,)> =
        sqlx::query_as("SELECT salt FROM sealed WHERE record_id = $1")
            .bind(id.as_str())
            .fetch_optional(db.reader())
            .await?;
    let Some(salt) = row.and_then(|(salt,)| salt).and_then(|salt| salt.try_into().ok()) else {
        return Ok(None);
    };
    let text = serde_json::to_string(content)?;
    Ok(Some(Salt(salt).digest("content", &text) == decision.content_digest))
}

pub(crate) fn parse(body: &str, id: &str) -> Result<Decision> {
    serde_json::from_str(body).map_err(|_| StoreError::Row {
        table: "records",
        id: id.to_owned(),
        column: "body",
    })
}
