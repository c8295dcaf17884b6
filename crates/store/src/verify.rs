//! Walks the chain and says where it breaks. Knows no database: rows come in, in order.

mod found;

use std::collections::HashMap;

use policy::hex;
use serde::Deserialize;

pub use found::{Broken, BrokenPolicy, ChainHead, Fault, PolicyFault, Verification};

use crate::decision::Decision;
use crate::id::{DecisionId, ItemId, JobId};
use crate::policies::PolicyChange;
use crate::record::{DECISION, Hash, POLICY, REVIEW, Record, START};
use crate::review::Review;
use crate::seal::Salt;
use crate::time::Millis;

/// Stands between columns where they are compared with what a record says.
pub(crate) const SEPARATOR: &str = "\u{1f}";

/// A row of the chain with what hangs on it.
#[derive(Clone, sqlx::FromRow)]
pub(crate) struct ChainRow {
    pub(crate) seq: i64,
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) at: i64,
    pub(crate) body: String,
    pub(crate) previous: Vec<u8>,
    pub(crate) hash: Vec<u8>,
    /// The columns of its row among the decisions, joined; `None` where there is none.
    pub(crate) decision: Option<String>,
    /// The same among the reviews.
    pub(crate) review: Option<String>,
    /// The same among the changes of policies.
    pub(crate) change: Option<String>,
    pub(crate) salt: Option<Vec<u8>>,
    pub(crate) content: Option<String>,
    pub(crate) words: Option<String>,
}

/// The walk: feed it rows in order, then the head.
pub(crate) struct Walk {
    seq: i64,
    hash: Hash,
    noted: Option<ChainHead>,
    erasures: Erasures,
}

impl Walk {
    /// A walk that also looks for a head noted earlier; `erasures` are those of the whole chain.
    pub(crate) fn new(noted: Option<ChainHead>, erasures: Erasures) -> Walk {
        Walk { seq: 0, hash: START, noted, erasures }
    }

    pub(crate) fn step(&mut self, row: &ChainRow) -> Result<(), Broken> {
        let seq = self.seq + 1;
        if row.seq != seq {
            return Err(Broken { seq, id: None, fault: Fault::Missing });
        }
        let broken = |fault| Err(Broken { seq, id: Some(row.id.clone()), fault });
        if row.previous != self.hash {
            return broken(Fault::Unlinked);
        }
        let hash = record(row).hash(&self.hash);
        if row.hash != hash {
            return broken(Fault::Altered);
        }
        let noted = self.noted.take_if(|noted| noted.n_records == seq);
        if noted.is_some_and(|noted| !noted.hash.eq_ignore_ascii_case(&hex(&hash))) {
            return broken(Fault::Forked);
        }
        if let Some(fault) = hanging_fault(row, &self.erasures) {
            return broken(fault);
        }
        (self.seq, self.hash) = (seq, hash);
        Ok(())
    }

    pub(crate) fn end(self, head_seq: i64, head_hash: &[u8]) -> Verification {
        let broken = |seq, fault| Verification::Broken(Broken { seq, id: None, fault });
        if self.seq < head_seq {
            return broken(self.seq + 1, Fault::Truncated);
        }
        if self.seq > head_seq || head_hash != self.hash {
            return broken(self.seq, Fault::Head);
        }
        match self.noted {
            Some(noted) if noted.n_records > 0 => broken(self.seq + 1, Fault::Truncated),
            _ => Verification::Whole(ChainHead { n_records: self.seq, hash: hex(&self.hash) }),
        }
    }
}

fn record(row: &ChainRow) -> Record {
    Record {
        seq: row.seq,
        id: row.id.clone(),
        kind: row.kind.clone(),
        at: row.at,
        body: row.body.clone(),
    }
}

/// What is wrong with the rows beside a record that is itself whole.
fn hanging_fault(row: &ChainRow, erasures: &Erasures) -> Option<Fault> {
    let Ok(told) = Told::by(row) else { return Some(Fault::Altered) };
    let found_by = [&row.decision, &row.review, &row.change];
    if found_by != [&told.decision, &told.review, &told.change] {
        return Some(Fault::Index);
    }
    let salt = row.salt.as_deref().and_then(|salt| salt.try_into().ok()).map(Salt);
    let fits = |field, text: &Option<String>, digest: Option<String>| match (text, &salt) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(text), Some(salt)) => digest == Some(salt.digest(field, text)),
    };
    let whole = fits("content", &row.content, told.content_digest)
        && fits("words", &row.words, told.words_digest);
    if !whole {
        return Some(Fault::Sealed);
    }
    let sealed = told.sealed?;
    let has = |kept: bool, text: &Option<String>| !kept || text.is_some();
    let is_kept = has(sealed.content, &row.content) && has(sealed.words, &row.words);
    let is_there = salt.is_some() && is_kept;
    (!is_there && !erasures.cover(row.seq, &sealed)).then_some(Fault::Gone)
}

/// What the chain says was erased. Grows with the erasures, not with the chain.
#[derive(Default)]
pub(crate) struct Erasures {
    /// By decision, the place of the last erasure.
    decisions: HashMap<String, i64>,
    /// By time: of whom (`None`: of all), and before when; with the erasure's place.
    before: Vec<(i64, Option<String>, Millis)>,
}

/// An erasure as its record tells of it.
#[derive(Deserialize)]
struct ErasureTold {
    tenant: Option<String>,
    decision: Option<String>,
    before: Option<Millis>,
}

impl Erasures {
    /// Adds one; they come in the order of the chain. One that cannot be read erased nothing.
    pub(crate) fn add(&mut self, seq: i64, body: &str) {
        let Ok(told) = serde_json::from_str::<ErasureTold>(body) else { return };
        if let Some(decision) = told.decision {
            self.decisions.insert(decision, seq);
        }
        if let Some(before) = told.before {
            self.before.push((seq, told.tenant, before));
        }
    }

    /// Whether one behind this place took what was sealed there.
    fn cover(&self, seq: i64, sealed: &Sealed) -> bool {
        self.decisions.get(sealed.decision.as_str()).is_some_and(|&erased| erased > seq)
            || self.before.iter().rev().any(|(erased, tenant, before)| {
                *erased > seq
                    && sealed.at < *before
                    && tenant.as_ref().is_none_or(|tenant| *tenant == sealed.tenant)
            })
    }
}

/// What a record says about the rows beside it.
#[derive(Default)]
struct Told {
    decision: Option<String>,
    review: Option<String>,
    change: Option<String>,
    sealed: Option<Sealed>,
    content_digest: Option<String>,
    words_digest: Option<String>,
}

/// What was sealed with a record.
struct Sealed {
    decision: DecisionId,
    tenant: String,
    at: Millis,
    /// Whether content was stored with it.
    content: bool,
    /// Whether words were.
    words: bool,
}

impl Told {
    fn by(row: &ChainRow) -> serde_json::Result<Told> {
        Ok(match row.kind.as_str() {
            DECISION => {
                let decision: Decision = serde_json::from_str(&row.body)?;
                Told {
                    decision: Some(decision_columns(&decision)),
                    sealed: Some(Sealed {
                        decision: decision.id,
                        tenant: decision.origin.tenant,
                        at: decision.at,
                        content: decision.content_kept,
                        words: decision.content_kept,
                    }),
                    content_digest: Some(decision.content_digest),
                    words_digest: Some(decision.words_digest),
                    ..Told::default()
                }
            }
            REVIEW => {
                let review: Review = serde_json::from_str(&row.body)?;
                let columns = [
                    review.id.as_str(),
                    &review.tenant,
                    review.decision.as_str(),
                    review.finding.word(),
                    &review.at.0.to_string(),
                ];
                Told {
                    review: Some(columns.join(SEPARATOR)),
                    sealed: Some(Sealed {
                        decision: review.decision,
                        tenant: review.tenant,
                        at: review.at,
                        content: false,
                        words: true,
                    }),
                    words_digest: Some(review.reason_digest),
                    ..Told::default()
                }
            }
            POLICY => {
                let change: PolicyChange = serde_json::from_str(&row.body)?;
                let policy_id = change.policy_id.map(|id| id.0).unwrap_or_default();
                let at = row.at.to_string();
                let columns = [&change.tenant, &change.name, change.change.word(), &policy_id, &at];
                Told { change: Some(columns.join(SEPARATOR)), ..Told::default() }
            }
            _ => Told::default(),
        })
    }
}

/// The columns of `decisions`, as the query of the walk joins them.
fn decision_columns(decision: &Decision) -> String {
    let (outcome, cause) = decision.outcome.names();
    [
        decision.id.as_str(),
        &decision.origin.tenant,
        &decision.at.0.to_string(),
        &decision.policy.name,
        &decision.policy.id.0,
        outcome,
        cause.as_deref().unwrap_or_default(),
        decision.label.as_deref().unwrap_or_default(),
        decision.stage.name(),
        decision.job.as_ref().map(JobId::as_str).unwrap_or_default(),
        decision.item.as_ref().map(ItemId::as_str).unwrap_or_default(),
        decision.origin.shadow_of.as_ref().map(DecisionId::as_str).unwrap_or_default(),
        decision.attention().unwrap_or_default(),
    ]
    .join(SEPARATOR)
}

#[cfg(test)]
mod tests;
