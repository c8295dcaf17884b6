//! What stands before the reasoner: small trained filters that have proven their recall, the audit that
//! keeps proving it, and the budget for safety compute.
//!
//! Plain arithmetic and threads: no model, no network, no files but the bytes that the caller brings.

mod error;
pub mod features;
mod file;
mod filter;
pub mod linear;
pub mod text;
mod train;

pub use error::CascadeError;
pub use filter::{About, Contribution, Filter, FilterScore, readable};
pub use train::{
    LabelReport, MIN_SIDE, Row, TrainSettings, TrainingReport, passing_for, recall_passing, train,
};
