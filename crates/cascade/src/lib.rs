//! What stands before the reasoner: small trained filters that have proven their recall, the audit that
//! keeps proving it, and the budget for safety compute.
//!
//! Plain arithmetic and threads: no model, no network, no files but the bytes that the caller brings.

mod budget;
mod cache;
mod error;
mod route;

pub use budget::{
    Budget, BudgetSettings, Decision, Event, Grant, Happening, Item, Limit, Passed, PerEffort,
    Rung, Standing, Step, Ticket, Unit, Wait, WhenSpent,
};
pub use cache::{CacheCounts, Hit, Question, VerdictCache};
pub use error::CascadeError;
pub use route::{Answer, Doubt, Learned, Next, RouteRow, Routes, learn as learn_routes};
