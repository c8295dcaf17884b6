//! What stands before the reasoner: small trained filters that have proven their recall, the audit that
//! keeps proving it, and the budget for safety compute.
//!
//! Plain arithmetic and threads: no model, no network, no files but the bytes that the caller brings.

pub mod audit;
mod calibrate;
mod error;
mod evidence;
pub mod features;
mod file;
mod filter;
mod judge;
pub mod linear;
mod promise;
pub mod text;
mod train;

pub use calibrate::{calibrate, scored};
pub use error::CascadeError;
pub use evidence::{Evidence, PromiseRow, WeightedShare};
pub use filter::{About, Contribution, Filter, FilterScore, readable};
pub use judge::{CascadeJudge, FilterStage};
pub use promise::{MAX_RECALL, Promise};
pub use train::{
    LabelReport, MIN_SIDE, Row, TrainSettings, TrainingReport, passing_for, recall_passing, train,
};
