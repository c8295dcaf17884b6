//! Jobs: batches that were accepted and are judged later, whatever happens in between.

use std::fmt;

use policy::{Content, PolicyRef};
use serde::{Deserialize, Serialize};

use crate::decision::Decision;
use crate::id::{DecisionId, ItemId, JobId, KeyId};
use crate::seal::Words;
use crate::time::Millis;

/// Most items of one job.
pub const MAX_ITEMS: usize = 100_000;

/// A batch to be accepted.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Whose it is.
    pub tenant: String,
    /// The API key that asked.
    pub key: Option<KeyId>,
    /// The caller's own key for this request: a second job with it is not accepted, the first is returned.
    pub request_key: Option<String>,
    /// What made it, such as `classify` or `batch`.
    pub kind: String,
    /// Higher is leased first.
    pub priority: i64,
    /// When the caller wants to hear something.
    pub deadline_at: Option<Millis>,
    /// What becomes of items that are open then.
    pub on_deadline: OnDeadline,
    /// Where outcomes go.
    pub webhook: Option<String>,
    /// Which events the webhook hears of.
    pub notify: Notify,
    /// Whether content, rationale and reasoning stay after the decision.
    pub keep_content: bool,
    /// The server's own JSON: settings, what to do if no verdict came in time. The store does not read it.
    pub details: String,
    /// What is to be judged.
    pub items: Vec<NewItem>,
}

/// Which events are delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notify {
    /// Every item's outcome, and the end of the job.
    #[default]
    Items,
    /// The end of the job only.
    End,
}

impl Notify {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Notify::Items => "items",
            Notify::End => "end",
        }
    }
}

/// What becomes of items that are open at their job's deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDeadline {
    /// They wait on, and are judged when their turn comes.
    #[default]
    Wait,
    /// [`Store::lease_overdue`](crate::Store::lease_overdue) hands them out, to be settled without a judge.
    GiveUp,
}

impl OnDeadline {
    pub(crate) fn word(self) -> &'static str {
        match self {
            OnDeadline::Wait => "wait",
            OnDeadline::GiveUp => "give_up",
        }
    }
}

/// One content under one policy.
#[derive(Clone)]
pub struct NewItem {
    /// The caller's name for it.
    pub custom_id: Option<String>,
    /// The policy.
    pub policy: PolicyRef,
    /// What is judged.
    pub content: Content,
    /// The server's own JSON, as of the job.
    pub details: String,
}

/// Leaves the content out.
impl fmt::Debug for NewItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewItem").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// A job and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Whose it is.
    pub tenant: String,
    /// The API key that asked.
    pub key: Option<KeyId>,
    /// What made it.
    pub kind: String,
    /// Higher is leased first.
    pub priority: i64,
    /// When it was accepted.
    pub accepted_at: Millis,
    /// When the caller wanted to hear something.
    pub deadline_at: Option<Millis>,
    /// What becomes of items that are open then.
    pub on_deadline: OnDeadline,
    /// Where outcomes go.
    pub webhook: Option<String>,
    /// The server's own JSON.
    pub details: String,
    /// The server's own JSON from [`Store::conclude`](crate::Store::conclude).
    pub conclusion: Option<String>,
    /// How many items.
    pub n_items: i64,
    /// How many have a decision.
    pub n_done: i64,
    /// How many were cancelled before they had one.
    pub n_cancelled: i64,
    /// When it was cancelled.
    pub cancelled_at: Option<Millis>,
    /// When its last item was settled.
    pub finished_at: Option<Millis>,
}

/// How far an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemState {
    /// For whoever leases it.
    Waiting,
    /// Somebody judges it.
    Leased,
    /// It has its decision.
    Done,
    /// The job was cancelled before.
    Cancelled,
}

/// An item as callers see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its id.
    pub id: ItemId,
    /// Its place in the job, from 0.
    pub position: i64,
    /// The caller's name for it.
    pub custom_id: Option<String>,
    /// The policy.
    pub policy: PolicyRef,
    /// How far it is.
    pub state: ItemState,
    /// The server's own JSON.
    pub details: String,
    /// How often it was leased.
    pub attempts: i64,
    /// Its decision.
    pub decision: Option<Box<Decision>>,
    /// What the caller may read of it, until that is forgotten.
    pub words: Option<Words>,
    /// When it was decided.
    pub done_at: Option<Millis>,
}

/// An item handed to a worker until its lease ends.
#[derive(Clone)]
pub struct LeasedItem {
    /// Its id.
    pub id: ItemId,
    /// Its job.
    pub job: JobId,
    /// Whose it is.
    pub tenant: String,
    /// The API key that asked.
    pub key: Option<KeyId>,
    /// The caller's name for it.
    pub custom_id: Option<String>,
    /// The policy.
    pub policy: PolicyRef,
    /// What is judged.
    pub content: Content,
    /// The item's own JSON.
    pub details: String,
    /// The job's own JSON.
    pub job_details: String,
    /// How often it was leased, this time included: an item that fells its workers shows by it.
    pub attempt: i64,
    /// By when the caller wanted to hear something.
    pub deadline_at: Option<Millis>,
    /// What becomes of it if it is open then.
    pub on_deadline: OnDeadline,
    /// Until when nobody else gets it.
    pub until: Millis,
}

/// Leaves the content out.
impl fmt::Debug for LeasedItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeasedItem")
            .field("id", &self.id)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// What came of settling an item.
#[derive(Clone, Debug, PartialEq)]
pub enum Completion {
    /// The decision was stored and is the item's.
    Stored(Box<Decision>),
    /// The item had its decision already; nothing was stored.
    Already(DecisionId),
    /// The job was cancelled; nothing was stored.
    Cancelled,
}

/// How much is open, in all jobs of all tenants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Jobs with items open.
    pub n_jobs: i64,
    /// Items that nobody judges yet.
    pub n_waiting: i64,
    /// Items that somebody judges, or did when it fell.
    pub n_leased: i64,
    /// Deliveries that are neither heard nor dead.
    pub n_due: i64,
    /// Deliveries that were given up.
    pub n_dead: i64,
}
