//! The store in a PostgreSQL database: as many servers as needed.
//!
//! The twin of `sqlite/`: same files, same names. Queries that both understand are in `sql/`, compiled
//! once for each.

mod dialect;
mod open;

#[path = "../sql/chain.rs"]
pub(crate) mod chain;
#[path = "../sql/decisions.rs"]
pub(crate) mod decisions;
#[path = "../sql/deliveries.rs"]
pub(crate) mod deliveries;
#[path = "../sql/files.rs"]
pub(crate) mod files;
#[path = "../sql/jobs.rs"]
pub(crate) mod jobs;
#[path = "../sql/jobs_read.rs"]
pub(crate) mod jobs_read;
#[path = "../sql/keys.rs"]
pub(crate) mod keys;
#[path = "../sql/policies.rs"]
pub(crate) mod policies;
#[path = "../sql/pruning.rs"]
pub(crate) mod pruning;
#[path = "../sql/reviews.rs"]
pub(crate) mod reviews;
#[path = "../sql/settling.rs"]
pub(crate) mod settling;
#[path = "../sql/verify.rs"]
pub(crate) mod verify;

pub(crate) use open::Db;
