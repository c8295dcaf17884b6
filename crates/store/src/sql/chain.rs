//! Appends to the chain: many entries in one commit, each whole or refused.

use sqlx::Transaction;

use super::dialect::{Driver, LOCK_HEAD};
use super::{Db, decisions, policies, reviews, settling};
use crate::entry::{Applied, Entry};
use crate::error::{Result, StoreError};
use crate::record::{Hash, Record};

/// The end of the chain inside a transaction that holds its lock.
pub(crate) struct Chain {
    pub(crate) tx: Transaction<'static, Driver>,
    seq: i64,
    hash: Hash,
}

/// Appends all entries in one transaction.
///
/// The outer error says that nothing was stored; an inner one that this entry was refused before it
/// changed anything.
pub(crate) async fn apply(db: &Db, entries: &[&Entry]) -> Result<Vec<Result<Applied>>> {
    let mut chain = Chain::lock(db).await?;
    let mut replies = Vec::with_capacity(entries.len());
    for entry in entries {
        replies.push(match chain.one(entry).await {
            Err(error) if !error.is_refusal() => return Err(error),
            reply => reply,
        });
    }
    chain.commit().await?;
    Ok(replies)
}

impl Chain {
    async fn lock(db: &Db) -> Result<Chain> {
        let mut tx = db.begin().await?;
        let (seq, hash): (i64, Vec<u8>) = sqlx::query_as(LOCK_HEAD).fetch_one(&mut *tx).await?;
        let hash = hash.try_into().map_err(|_| StoreError::Row {
            table: "chain_head",
            id: "1".to_owned(),
            column: "hash",
        })?;
        Ok(Chain { tx, seq, hash })
    }

    async fn one(&mut self, entry: &Entry) -> Result<Applied> {
        match entry {
            Entry::Decision(decision) => decisions::append(self, decision).await,
            Entry::Completion(item, decision, words) => {
                settling::complete(self, item, decision, words.as_ref()).await
            }
            Entry::Review(review) => reviews::append(self, review).await,
            Entry::Erasure(erasure) => decisions::erase(self, erasure).await,
            Entry::Policy(change) => policies::change(self, change).await,
        }
    }

    /// Writes one record and returns its place.
    pub(crate) async fn append(
        &mut self,
        id: &str,
        kind: &str,
        at: i64,
        body: String,
    ) -> Result<i64> {
        let record =
            Record { seq: self.seq + 1, id: id.to_owned(), kind: kind.to_owned(), at, body };
        let hash = record.hash(&self.hash);
        sqlx::query(
            "INSERT INTO records (seq, id, kind, at, body, previous, hash) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(record.seq)
        .bind(&record.id)
        .bind(&record.kind)
        .bind(record.at)
        .bind(&record.body)
        .bind(&self.hash[..])
        .bind(&hash[..])
        .execute(&mut *self.tx)
        .await?;
        (self.seq, self.hash) = (record.seq, hash);
        Ok(record.seq)
    }

    async fn commit(mut self) -> Result<()> {
        sqlx::query("UPDATE chain_head SET seq = $1, hash = $2 WHERE one = 1")
            .bind(self.seq)
            .bind(&self.hash[..])
            .execute(&mut *self.tx)
            .await?;
        self.tx.commit().await?;
        Ok(())
    }
}
