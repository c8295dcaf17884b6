//! Reads the chain for a walk over it, page by page, in one state of the database.

use policy::{PolicyId, hex};
use sha2::{Digest, Sha256};
use sqlx::Transaction;

use super::Db;
use super::dialect::Driver;
use crate::error::Result;
use crate::record::ERASURE;
use crate::verify::{
    Broken, BrokenPolicy, ChainHead, ChainRow, Erasures, PolicyFault, SEPARATOR, Verification, Walk,
};

/// Records brought into memory at once.
const PAGE: i64 = 500;
/// Texts of policies brought into memory at once.
const TEXTS: i64 = 20;

/// $1 after which record, $2 how many, $3 what stands between columns. NULL columns count as empty, which
/// no id or code is. Each of the three tables speaks for itself: a row that is one too many shows.
const ROWS: &str = "SELECT r.seq, r.id, r.kind, r.at, r.body, r.previous, r.hash, \
        d.id || $3 || d.tenant || $3 || CAST(d.at AS TEXT) || $3 || d.policy_name || $3 || \
        d.policy_id || $3 || d.outcome || $3 || COALESCE(d.cause, '') || $3 || \
        COALESCE(d.label, '') || $3 || d.stage || $3 || COALESCE(d.job_id, '') || $3 || \
        COALESCE(d.item_id, '') || $3 || COALESCE(d.shadow_of, '') || $3 || \
        COALESCE(d.attention, '') AS decision, \
        v.id || $3 || v.tenant || $3 || v.decision_id || $3 || v.finding || $3 || \
        CAST(v.at AS TEXT) AS review, \
        c.tenant || $3 || c.name || $3 || c.change || $3 || COALESCE(c.policy_id, '') || $3 || \
        CAST(c.at AS TEXT) AS change, \
        s.salt, s.content, s.words \
    FROM records r \
    LEFT JOIN decisions d ON d.seq = r.seq \
    LEFT JOIN reviews v ON v.seq = r.seq \
    LEFT JOIN policy_changes c ON c.seq = r.seq \
    LEFT JOIN sealed s ON s.record_id = r.id \
    WHERE r.seq > $1 ORDER BY r.seq LIMIT $2";

pub(crate) async fn walk(db: &Db, noted: Option<ChainHead>) -> Result<Verification> {
    let mut tx = db.snapshot().await?;
    let head: Option<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT seq, hash FROM chain_head WHERE one = 1")
            .fetch_optional(&mut *tx)
            .await?;
    let mut walk = Walk::new(noted, erasures(&mut tx).await?);
    let mut last = i64::MIN;
    loop {
        let rows: Vec<ChainRow> =
            sqlx::query_as(ROWS).bind(last).bind(PAGE).bind(SEPARATOR).fetch_all(&mut *tx).await?;
        for row in &rows {
            if let Err(broken) = walk.step(row) {
                return Ok(Verification::Broken(broken));
            }
            last = row.seq;
        }
        if rows.is_empty() {
            let Some((seq, hash)) = head else {
                return Ok(Verification::Broken(Broken::no_head()));
            };
            let walked = walk.end(seq, &hash);
            return Ok(match (&walked, broken_policy(&mut tx).await?) {
                (Verification::Whole(_), Some(broken)) => Verification::Policy(broken),
                _ => walked,
            });
        }
    }
}

/// The first policy whose text does not have its hash, or is not there.
async fn broken_policy(tx: &mut Transaction<'static, Driver>) -> Result<Option<BrokenPolicy>> {
    let mut last = String::new();
    loop {
        let rows: Vec<(String, Vec<u8>)> = sqlx::query_as(
            "SELECT policy_id, bytes FROM policy_texts WHERE policy_id > $1 \
             ORDER BY policy_id LIMIT $2",
        )
        .bind(&last)
        .bind(TEXTS)
        .fetch_all(&mut **tx)
        .await?;
        for (id, bytes) in &rows {
            if hex(&Sha256::digest(bytes)) != *id {
                let (id, fault) = (PolicyId(id.clone()), PolicyFault::Altered);
                return Ok(Some(BrokenPolicy { id, fault }));
            }
        }
        match rows.into_iter().next_back() {
            Some((id, _)) => last = id,
            None => break,
        }
    }
    let gone: Option<(String,)> = sqlx::query_as(
        "SELECT c.policy_id FROM policy_changes c \
         LEFT JOIN policy_texts t ON t.policy_id = c.policy_id \
         WHERE c.policy_id IS NOT NULL AND t.policy_id IS NULL ORDER BY c.seq LIMIT 1",
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(gone.map(|(id,)| BrokenPolicy { id: PolicyId(id), fault: PolicyFault::Gone }))
}

/// Read first, for an erasure stands behind what it erased. The walk comes by these rows too, and finds those
/// that are not of the chain.
async fn erasures(tx: &mut Transaction<'static, Driver>) -> Result<Erasures> {
    let mut erasures = Erasures::default();
    let mut last = i64::MIN;
    loop {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "SELECT seq, body FROM records WHERE kind = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(ERASURE)
        .bind(last)
        .bind(PAGE)
        .fetch_all(&mut **tx)
        .await?;
        for (seq, body) in &rows {
            erasures.add(*seq, body);
            last = *seq;
        }
        if rows.is_empty() {
            return Ok(erasures);
        }
    }
}

pub(crate) async fn head(db: &Db) -> Result<ChainHead> {
    let (n_records, hash): (i64, Vec<u8>) =
        sqlx::query_as("SELECT seq, hash FROM chain_head WHERE one = 1")
            .fetch_one(db.reader())
            .await?;
    Ok(ChainHead { n_records, hash: hex(&hash) })
}
