//! Reviews, and what they and shadow versions teach.

use policy::GoldenCase;

use super::Db;
use super::chain::Chain;
use super::decisions::{self, Seal};
use crate::entry::Applied;
use crate::error::{Result, StoreError};
use crate::id::DecisionId;
use crate::record::REVIEW;
use crate::review::{Disagreement, Finding, NewReview, Overturned, Review, StoredReview};

/// A review's id, the bodies of decision and review, the content, the reason.
type Overturn = (String, String, String, Option<String>, Option<String>);

pub(crate) async fn append(chain: &mut Chain, new: &NewReview) -> Result<Applied> {
    let present: Option<(String,)> = sqlx::query_as("SELECT body FROM records WHERE id = $1")
        .bind(new.id.as_str())
        .fetch_optional(&mut *chain.tx)
        .await?;
    if let Some((body,)) = present {
        return Ok(Applied::Review(Box::new(parse(&body, new.id.as_str())?)));
    }
    let found: Option<(i64,)> =
        sqlx::query_as("SELECT seq FROM decisions WHERE id = $1 AND tenant = $2")
            .bind(new.decision.as_str())
            .bind(&new.tenant)
            .fetch_optional(&mut *chain.tx)
            .await?;
    found.ok_or_else(|| StoreError::unknown("decision", &new.decision))?;
    let (review, salt) = new.seal()?;
    let body = serde_json::to_string(&review)?;
    let seq = chain.append(review.id.as_str(), REVIEW, review.at.0, body).await?;
    sqlx::query(
        "INSERT INTO reviews (seq, id, tenant, decision_id, finding, at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(seq)
    .bind(review.id.as_str())
    .bind(&review.tenant)
    .bind(review.decision.as_str())
    .bind(review.finding.word())
    .bind(review.at.0)
    .execute(&mut *chain.tx)
    .await?;
    let seal = Seal {
        record_id: review.id.as_str(),
        decision_id: review.decision.as_str(),
        at: review.at.0,
        salt: &salt,
        content: None,
        words: Some(&new.reason),
    };
    seal.write(chain).await?;
    Ok(Applied::Review(Box::new(review)))
}

/// Reviews of a decision, oldest first.
pub(crate) async fn of(db: &Db, decision: &DecisionId) -> Result<Vec<StoredReview>> {
    let rows: Vec<(String, String, Option<String>)> = sqlx::query_as(
        "SELECT r.id, r.body, s.words FROM reviews v JOIN records r ON r.seq = v.seq \
         LEFT JOIN sealed s ON s.record_id = v.id WHERE v.decision_id = $1 ORDER BY v.seq",
    )
    .bind(decision.as_str())
    .fetch_all(db.reader())
    .await?;
    rows.into_iter()
        .map(|(id, body, reason)| Ok(StoredReview { review: parse(&body, &id)?, reason }))
        .collect()
}

/// Appeals that no later review has answered, oldest first.
pub(crate) async fn open_appeals(db: &Db, tenant: &str, limit: i64) -> Result<Vec<Review>> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT r.id, r.body FROM reviews v JOIN records r ON r.seq = v.seq \
         WHERE v.tenant = $1 AND v.finding = 'appeal' AND NOT EXISTS ( \
             SELECT 1 FROM reviews a WHERE a.decision_id = v.decision_id AND a.seq > v.seq \
                 AND a.finding <> 'appeal') \
         ORDER BY v.seq LIMIT $2",
    )
    .bind(tenant)
    .bind(limit)
    .fetch_all(db.reader())
    .await?;
    rows.into_iter().map(|(id, body)| parse(&body, &id)).collect()
}

/// Decisions whose last word is that they were wrong, as golden cases.
pub(crate) async fn overturned(
    db: &Db,
    tenant: &str,
    policy: Option<&str>,
) -> Result<Vec<Overturned>> {
    let rows: Vec<Overturn> = sqlx::query_as(
        "SELECT v.id, d.body, r.body, s.content, w.words FROM reviews v \
         JOIN records r ON r.seq = v.seq \
         JOIN decisions x ON x.id = v.decision_id JOIN records d ON d.seq = x.seq \
         LEFT JOIN sealed s ON s.record_id = v.decision_id \
         LEFT JOIN sealed w ON w.record_id = v.id \
         WHERE v.tenant = $1 AND v.finding = 'overturn' \
           AND (CAST($2 AS TEXT) IS NULL OR x.policy_name = $2) AND NOT EXISTS ( \
             SELECT 1 FROM reviews a WHERE a.decision_id = v.decision_id AND a.seq > v.seq \
                 AND a.finding <> 'appeal') \
         ORDER BY v.seq",
    )
    .bind(tenant)
    .bind(policy)
    .fetch_all(db.reader())
    .await?;
    let mut cases = Vec::with_capacity(rows.len());
    for (id, decision, review, content, reason) in rows {
        let (decision, review) = (decisions::parse(&decision, &id)?, parse(&review, &id)?);
        let Finding::Overturn { outcome, rule } = review.finding else { continue };
        let content = content.map(|text| serde_json::from_str(&text)).transpose();
        let content = content.map_err(|_| StoreError::Row {
            table: "sealed",
            id: decision.id.to_string(),
            column: "content",
        })?;
        let case = content.map(|content| GoldenCase {
            id: decision.id.to_string(),
            content,
            outcome,
            rule,
            lang: None,
            note: reason,
        });
        cases.push(Overturned { decision: decision.id, policy: decision.policy, case });
    }
    Ok(cases)
}

/// Where a candidate's outcome or label differs from that of the version that acted; newest first, and how
/// many were compared in all.
pub(crate) async fn disagreements(
    db: &Db,
    tenant: &str,
    policy: &str,
    candidate: &str,
    limit: i64,
) -> Result<(i64, Vec<Disagreement>)> {
    let (n_compared,): (i64,) = sqlx::query_as(
        "SELECT COUNT(*) FROM decisions s JOIN decisions l ON l.id = s.shadow_of \
         WHERE s.tenant = $1 AND s.policy_name = $2 AND s.policy_id = $3",
    )
    .bind(tenant)
    .bind(policy)
    .bind(candidate)
    .fetch_one(db.reader())
    .await?;
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT s.id, a.body, b.body FROM decisions s JOIN decisions l ON l.id = s.shadow_of \
         JOIN records a ON a.seq = l.seq JOIN records b ON b.seq = s.seq \
         WHERE s.tenant = $1 AND s.policy_name = $2 AND s.policy_id = $3 \
           AND (s.outcome <> l.outcome OR COALESCE(s.label, '') <> COALESCE(l.label, '')) \
         ORDER BY s.seq DESC LIMIT $4",
    )
    .bind(tenant)
    .bind(policy)
    .bind(candidate)
    .bind(limit)
    .fetch_all(db.reader())
    .await?;
    let pairs = rows.into_iter().map(|(id, live, shadow)| {
        let live = decisions::parse(&live, &id)?;
        Ok(Disagreement { live, shadow: decisions::parse(&shadow, &id)? })
    });
    Ok((n_compared, pairs.collect::<Result<_>>()?))
}

fn parse(body: &str, id: &str) -> Result<Review> {
    serde_json::from_str(body).map_err(|_| StoreError::Row {
        table: "records",
        id: id.to_owned(),
        column: "body",
    })
}
