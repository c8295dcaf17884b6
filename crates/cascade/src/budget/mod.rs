//! The budget for safety compute: a known share of all compute, kept over a sliding window.
//!
//! [`Budget::decide`] is asked before every item; it answers with the effort and the votes that the item may
//! have, and names everything that it had to give up for it. [`Budget::returned`] hears what the verdict took.
//! Nothing here reads a clock or starts a thread: time comes in as milliseconds from any fixed moment, so that
//! a simulation and the service run the same code.
//!
//! What is given up comes in one order ([`Rung`]): effort, the promptness of asynchronous work, votes, and, only
//! where it is allowed, a filter's proven threshold. What cannot be met even so is over budget, or waits; there
//! is no way from here to `clear`.
//!
//! Two rules work together. A hard one: no window, whether it ends now or within the next window's length, may
//! hold more than is allowed, with everything under way counted in (`ledger.rs`, `host.rs`). A soft one, ahead
//! of it: how far down the ladder, so that what is expected to come (`demand.rs`, `estimate.rs`) spends what is
//! left without running out (`controller.rs`, where to start).

mod controller;
mod demand;
mod estimate;
mod host;
mod item;
mod ladder;
mod ledger;
mod settings;
mod step;

pub use controller::{Budget, Standing};
pub use item::{Decision, Grant, Item, Ticket, Wait};
pub use ladder::Rung;
pub use settings::{BudgetSettings, Limit, PerEffort, Unit, WhenSpent};
pub use step::{Event, Happening, Step};
