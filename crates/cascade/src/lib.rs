//! What stands before the reasoner: small trained filters that have proven their recall, the audit that
//! keeps proving it, and the budget for safety compute.
//!
//! Plain arithmetic and threads: no model, no network, no files but the bytes that the caller brings.

mod error;

pub use error::CascadeError;
