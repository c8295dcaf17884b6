//! What is appended to the chain, in one form for all kinds, so that many callers share one commit.

use crate::decision::{Decision, NewDecision};
use crate::id::{DecisionId, ItemId};
use crate::job::Completion;
use crate::policies::{Change, InUse};
use crate::review::{NewReview, Review};
use crate::seal::Words;
use crate::time::Millis;

/// One thing to append.
#[derive(Debug)]
pub(crate) enum Entry {
    Decision(Box<NewDecision>),
    /// With the words that the item's caller may read.
    Completion(ItemId, Box<NewDecision>, Option<Words>),
    Review(Box<NewReview>),
    Erasure(Erasure),
    Policy(ChangeOf),
}

/// What came of it, kind by kind.
#[derive(Debug)]
pub(crate) enum Applied {
    Decision(Box<Decision>),
    Completion(Completion),
    Review(Box<Review>),
    Erasure(u64),
    Policy(InUse),
}

/// Whose content is erased.
#[derive(Clone, Debug)]
pub(crate) struct Erasure {
    pub(crate) tenant: Option<String>,
    pub(crate) what: Erased,
    pub(crate) actor: String,
    pub(crate) at: Millis,
}

#[derive(Clone, Debug)]
pub(crate) enum Erased {
    /// Of one decision and its reviews.
    Decision(DecisionId),
    /// Of all that was stored before.
    Before(Millis),
}

/// What an erasure came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErasureDone {
    /// How many records lost something.
    pub n_records: u64,
    /// Whether the database's log lost it too.
    pub log: LogState,
}

/// Whether the database's log may still hold what was erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogState {
    /// As empty as the database makes it: SQLite's was cut, PostgreSQL keeps its own time.
    Settled,
    /// A reader held SQLite's log until our patience ended. It goes with the next erasure, or when the last
    /// program closes the file.
    Held,
}

/// A change of one policy of one tenant.
#[derive(Clone, Debug)]
pub(crate) struct ChangeOf {
    pub(crate) tenant: String,
    pub(crate) name: String,
    pub(crate) change: Change,
    pub(crate) actor: String,
    pub(crate) at: Millis,
}
