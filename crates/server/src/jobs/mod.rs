//! Jobs: accepted at once, on the disk before the caller hears of it, judged later and told of.
//!
//! `accept.rs` makes a job of what was asked, `worker.rs` judges what is leased, `settle.rs` writes each outcome
//! once, `upkeep.rs` sees to deadlines and what is over, `results.rs` is what callers read. What the store keeps
//! without reading it is in `details.rs`.

mod accept;
mod crew;
mod details;
mod metrics;
mod results;
mod settings;
mod settle;
mod texts;
mod upkeep;
mod worker;

pub use settings::JobSettings;

pub(crate) use accept::{Asked, AskedItem, accept};
pub(crate) use crew::{Crew, Jobs, LOOK_EVERY, Phase, reached};
pub(crate) use details::{
    BatchDetails, BatchError, Fault, ItemDetails, JobDetails, LineDetails, Refused, json,
};
pub(crate) use metrics::JobMetrics;
pub(crate) use results::{JobBody, JobResult};

/// The routes that make jobs, as decisions name where they come from.
pub(crate) const CLASSIFY_SOURCE: &str = "/v1/classify";
pub(crate) const BATCH_SOURCE: &str = "/v1/batches";
/// What `/v1/classify` makes.
pub(crate) const CLASSIFY: &str = "classify";
/// What `/v1/batches` makes.
pub(crate) const BATCH: &str = "batch";
