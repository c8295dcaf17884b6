//! What must survive: decisions and their audit chain, jobs, policies, reviews, keys, files.
//!
//! Start with `store.rs`, the one type [`Store`] over an SQLite file or a PostgreSQL database. Every decision,
//! review, erasure and change of policy is a record of one chain (`record.rs`, `verify.rs`); what quotes
//! people is kept apart from it and can be erased (`seal.rs`). `sqlite/` and `postgres/` are twins; the
//! queries that both understand are in `sql/`, compiled once for each. Async starts here; models and tensors
//! are unheard of.
#![expect(clippy::duplicate_mod, reason = "sql/ is compiled once for each database")]

mod decision;
mod delivery;
mod entry;
mod error;
mod file;
mod id;
mod job;
mod key;
mod migrate;
mod policies;
mod postgres;
mod record;
mod review;
mod row;
mod seal;
mod sqlite;
mod store;
mod time;
mod url;
mod verify;
mod writer;

pub use decision::{Decision, DecisionFilter, NewDecision, Origin, Sampling, StoredDecision};
pub use delivery::{Backoff, Delivery, DeliveryState, Event};
pub use entry::{ErasureDone, LogState};
pub use error::StoreError;
pub use file::{CHUNK_BYTES, File};
pub use id::{DecisionId, DeliveryId, FileId, ItemId, JobId, KeyId, RecordId, ReviewId};
pub use job::{
    Backlog, Completion, Item, ItemState, Job, LeasedItem, MAX_ITEMS, NewItem, NewJob, Notify,
    OnDeadline,
};
pub use key::{ApiKey, Grants, KeyUsage, NewKey, Secret};
pub use policies::{Change, ChangeKind, InUse, PolicyChange, PolicyVersion};
pub use review::{
    Compared, Disagreement, Finding, NewReview, Overturned, Review, StoredReview, Waiting, Why,
};
pub use seal::{Kept, Words};
pub use store::Store;
pub use time::Millis;
pub use verify::{Broken, BrokenPolicy, ChainHead, Fault, PolicyFault, Verification};
