//! Reviews, and what they and shadow versions teach.

use policy::{GoldenCase, PolicyId};

use super::Db;
use super::chain::Chain;
use super::decisions::{self, Seal};
use crate::entry::Applied;
use crate::error::{Result, StoreError};
use crate::id::DecisionId;
use crate::record::REVIEW;
use crate::review::{
    Compared, Disagreement, Finding, NewReview, Overturned, Review, StoredReview, Waiting, Why,
};

/// A review's id, the bodies of decision and review, the content, the reason.
type Overturn = (String, String, String, Option<String>, Option<String>);
/// The live version, its outcome and label, the candidate's, how many.
type Comparison = (String, String, Option<String>, String, Option<String>, i64);

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

/// What of [`WAITING`] comes first.
const RANK: &str = "CASE WHEN EXISTS ( \
        SELECT 1 FROM reviews a WHERE a.decision_id = d.id AND a.finding = 'appeal' AND NOT EXISTS ( \
            SELECT 1 FROM reviews b WHERE b.decision_id = a.decision_id AND b.seq > a.seq \
                AND b.finding <> 'appeal')) THEN 0 \
    WHEN d.attention = 'undetermined' THEN 1 ELSE 2 END";

/// Decisions of tenant $1, under policy $2 if it is given, that wait for a person: appealed since anybody last
/// looked, or never looked at and undetermined or doubtful. Two searches, for each has an index of its own.
const WAITING: &str = "FROM decisions d WHERE (CAST($2 AS TEXT) IS NULL OR d.policy_name = $2) \
    AND d.seq IN ( \
        SELECT o.seq FROM decisions o WHERE o.tenant = $1 AND o.attention IS NOT NULL \
            AND NOT EXISTS (SELECT 1 FROM reviews v \
                WHERE v.decision_id = o.id AND v.finding <> 'appeal') \
        UNION SELECT o.seq FROM reviews v JOIN decisions o ON o.id = v.decision_id \
            WHERE v.tenant = $1 AND v.finding = 'appeal' AND NOT EXISTS ( \
                SELECT 1 FROM reviews a WHERE a.decision_id = v.decision_id AND a.seq > v.seq \
                    AND a.finding <> 'appeal'))";

/// Decisions that wait for a person, in the order of their need and then of the chain; and how many there are.
pub(crate) async fn waiting(
    db: &Db,
    tenant: &str,
    policy: Option<&str>,
    limit: i64,
) -> Result<(i64, Vec<Waiting>)> {
    // Safe: the texts put together are this file's own.
    let count = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) {WAITING}"));
    let (n_waiting,): (i64,) =
        sqlx::query_as(count).bind(tenant).bind(policy).fetch_one(db.reader()).await?;
    let page = sqlx::AssertSqlSafe(format!(
        "SELECT q.rank, q.seq, r.id, r.body FROM (SELECT CAST({RANK} AS BIGINT) AS rank, d.seq {WAITING}) q \
         JOIN records r ON r.seq = q.seq ORDER BY q.rank, q.seq LIMIT $3"
    ));
    let rows: Vec<(i64, i64, String, String)> =
        sqlx::query_as(page).bind(tenant).bind(policy).bind(limit).fetch_all(db.reader()).await?;
    let waiting = rows.into_iter().map(|(rank, seq, id, body)| {
        let why = match rank {
            0 => Why::Appealed,
            1 => Why::Undetermined,
            _ => Why::Doubtful,
        };
        Ok(Waiting { why, seq, decision: decisions::parse(&body, &id)? })
    });
    Ok((n_waiting, waiting.collect::<Result<_>>()?))
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

/// How often a candidate said what of that which the live version had said otherwise, or the same.
pub(crate) async fn comparison(
    db: &Db,
    tenant: &str,
    policy: &str,
    candidate: &str,
) -> Result<Vec<Compared>> {
    let rows: Vec<Comparison> = sqlx::query_as(
        "SELECT l.policy_id, l.outcome, l.label, s.outcome, s.label, COUNT(*) \
         FROM decisions s JOIN decisions l ON l.id = s.shadow_of \
         WHERE s.tenant = $1 AND s.policy_name = $2 AND s.policy_id = $3 \
         GROUP BY l.policy_id, l.outcome, l.label, s.outcome, s.label \
         ORDER BY l.policy_id, l.outcome, l.label, s.outcome, s.label",
    )
    .bind(tenant)
    .bind(policy)
    .bind(candidate)
    .fetch_all(db.reader())
    .await?;
    let compared =
        rows.into_iter().map(|(live_id, live, live_label, shadow, shadow_label, n)| Compared {
            live_id: PolicyId(live_id),
            live: (live, live_label),
            shadow: (shadow, shadow_label),
            n_pairs: n,
        });
    Ok(compared.collect())
}

/// Where a candidate's outcome or label differs from that of the version that acted; newest first.
pub(crate) async fn disagreements(
    db: &Db,
    tenant: &str,
    policy: &str,
    candidate: &str,
    limit: i64,
) -> Result<Vec<Disagreement>> {
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
    pairs.collect()
}

fn parse(body: &str, id: &str) -> Result<Review> {
    serde_json::from_str(body).map_err(|_| StoreError::Row {
        table: "records",
        id: id.to_owned(),
        column: "body",
    })
}
