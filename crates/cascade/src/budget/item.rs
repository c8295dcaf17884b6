//! What the budget is asked, and what it answers.

use policy::{Effort, PassedOn};
use serde::{Deserialize, Serialize};

use super::step::Step;

/// An item that wants a verdict.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Item {
    /// The effort wanted.
    pub effort: Effort,
    /// Whether no reasoning is wanted: nothing is saved by less effort then.
    pub direct: bool,
    /// The votes wanted, 1 or more; each is a verdict of its own.
    pub votes: u32,
    /// The part of one verdict's cost that is known beforehand, in the limit's unit: tokens of a long prompt
    /// that are not cached. What is learned is the rest.
    pub known_cost: f64,
    /// Whether somebody waits for the verdict.
    pub wait: Wait,
    /// What a filter that passed the item on said, where the threshold may be raised.
    pub passed: Option<PassedOn>,
    /// Whether it was offered before and told to come back.
    pub again: bool,
}

impl Item {
    /// An item that somebody waits for, with one vote.
    pub fn new(effort: Effort) -> Item {
        Item {
            effort,
            direct: false,
            votes: 1,
            known_cost: 0.0,
            wait: Wait::No,
            passed: None,
            again: false,
        }
    }
}

/// How long a verdict may be put off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Somebody waits.
    No,
    /// Asynchronous work: may be deferred until this moment in milliseconds, and is as urgent as any after it.
    Until(u64),
}

/// The name of what was granted, to report back under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ticket(pub u64);

/// What may be done with an item. `given_up` belongs into the verdict's own record.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Judge it, and report back.
    Judge(Grant),
    /// Offer it again at that moment, with [`Item::again`] set.
    Later {
        /// In milliseconds.
        at_ms: u64,
        /// Why.
        given_up: Vec<Step>,
    },
    /// Leave it to the filter, under a threshold above the proven one. Never without
    /// [`super::BudgetSettings::may_raise_threshold`].
    LeaveToFilter {
        /// The threshold, as [`Step::Threshold`] names it.
        given_up: Vec<Step>,
    },
    /// `undetermined: over budget`.
    OverBudget {
        /// What was tried, and that it was not enough.
        given_up: Vec<Step>,
    },
}

impl Decision {
    /// What was given up.
    pub fn given_up(&self) -> &[Step] {
        match self {
            Decision::Judge(grant) => &grant.given_up,
            Decision::Later { given_up, .. }
            | Decision::LeaveToFilter { given_up }
            | Decision::OverBudget { given_up } => given_up,
        }
    }
}

/// Leave to judge an item.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// To report back under.
    pub ticket: Ticket,
    /// The effort to judge with.
    pub effort: Effort,
    /// The votes to take.
    pub votes: u32,
    /// What is set aside for it, in the limit's unit.
    pub reserved: f64,
    /// What was given up; empty where the item gets all that it asked for.
    pub given_up: Vec<Step>,
}
