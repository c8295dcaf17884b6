//! What stands before the reasoner: small trained filters that have proven their recall, the audit that
//! keeps proving it, and the budget for safety compute.
//!
//! Plain arithmetic and threads: no model, no network, no files but the bytes that the caller brings.

pub mod audit;
mod calibrate;
mod error;
mod evidence;
mod promise;

pub use calibrate::{calibrate, scored};
pub use error::CascadeError;
pub use evidence::{Evidence, PromiseRow, WeightedShare};
pub use promise::{MAX_RECALL, Promise};
