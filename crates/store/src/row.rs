//! Rows as both databases give them, and the way from them to types that cannot be wrong.

use policy::{Content, PolicyId, PolicyRef};

use crate::delivery::{Delivery, Event};
use crate::error::{Result, StoreError};
use crate::job::{Item, ItemState, Job, LeasedItem, OnDeadline};
use crate::time::Millis;

#[derive(sqlx::FromRow)]
pub(crate) struct JobRow {
    id: String,
    tenant: String,
    key_id: Option<String>,
    kind: String,
    priority: i64,
    accepted_at: i64,
    deadline_at: Option<i64>,
    on_deadline: String,
    webhook: Option<String>,
    details: String,
    conclusion: Option<String>,
    n_items: i64,
    n_done: i64,
    n_cancelled: i64,
    cancelled_at: Option<i64>,
    finished_at: Option<i64>,
}

impl JobRow {
    pub(crate) fn parsed(self) -> Result<Job> {
        Ok(Job {
            on_deadline: on_deadline(&self.on_deadline, &self.id)?,
            id: self.id.parse()?,
            tenant: self.tenant,
            key: self.key_id.map(|id| id.parse()).transpose()?,
            kind: self.kind,
            priority: self.priority,
            accepted_at: Millis(self.accepted_at),
            deadline_at: self.deadline_at.map(Millis),
            webhook: self.webhook,
            details: self.details,
            conclusion: self.conclusion,
            n_items: self.n_items,
            n_done: self.n_done,
            n_cancelled: self.n_cancelled,
            cancelled_at: self.cancelled_at.map(Millis),
            finished_at: self.finished_at.map(Millis),
        })
    }
}

#[derive(sqlx::FromRow)]
pub(crate) struct ItemRow {
    id: String,
    position: i64,
    custom_id: Option<String>,
    policy_name: String,
    policy_id: String,
    details: String,
    state: String,
    attempts: i64,
    words: Option<String>,
    done_at: Option<i64>,
    /// The record of its decision.
    body: Option<String>,
}

impl ItemRow {
    pub(crate) fn parsed(self) -> Result<Item> {
        let state = match self.state.as_str() {
            "waiting" => ItemState::Waiting,
            "leased" => ItemState::Leased,
            "done" => ItemState::Done,
            "cancelled" => ItemState::Cancelled,
            _ => return Err(StoreError::Row { table: "items", id: self.id, column: "state" }),
        };
        let bad = |table, column| {
            let id = self.id.clone();
            move |_| StoreError::Row { table, id, column }
        };
        let decision = self.body.map(|body| serde_json::from_str(&body)).transpose();
        let words = self.words.map(|words| serde_json::from_str(&words)).transpose();
        Ok(Item {
            decision: decision.map_err(bad("records", "body"))?,
            words: words.map_err(bad("items", "words"))?,
            id: self.id.parse()?,
            position: self.position,
            custom_id: self.custom_id,
            policy: PolicyRef { name: self.policy_name, id: PolicyId(self.policy_id) },
            details: self.details,
            state,
            attempts: self.attempts,
            done_at: self.done_at.map(Millis),
        })
    }
}

#[derive(sqlx::FromRow)]
pub(crate) struct LeaseRow {
    id: String,
    priority: i64,
    position: i64,
    job_id: String,
    tenant: String,
    key_id: Option<String>,
    custom_id: Option<String>,
    policy_name: String,
    policy_id: String,
    content: Option<String>,
    details: String,
    job_details: String,
    attempts: i64,
    deadline_at: Option<i64>,
    on_deadline: String,
    lease_until: i64,
}

impl LeaseRow {
    /// Sorts as the database picked them: `RETURNING` promises no order.
    pub(crate) fn place(&self) -> (std::cmp::Reverse<i64>, String, i64) {
        (std::cmp::Reverse(self.priority), self.job_id.clone(), self.position)
    }

    pub(crate) fn parsed(self) -> Result<LeasedItem> {
        let text = self.content.unwrap_or_default();
        Ok(LeasedItem {
            content: content(&text, &self.id)?,
            id: self.id.parse()?,
            tenant: self.tenant,
            key: self.key_id.map(|id| id.parse()).transpose()?,
            custom_id: self.custom_id,
            policy: PolicyRef { name: self.policy_name, id: PolicyId(self.policy_id) },
            details: self.details,
            job_details: self.job_details,
            attempt: self.attempts,
            on_deadline: on_deadline(&self.on_deadline, self.job_id.as_str())?,
            job: self.job_id.parse()?,
            deadline_at: self.deadline_at.map(Millis),
            until: Millis(self.lease_until),
        })
    }
}

fn on_deadline(word: &str, job: &str) -> Result<OnDeadline> {
    match word {
        "wait" => Ok(OnDeadline::Wait),
        "give_up" => Ok(OnDeadline::GiveUp),
        _ => {
            let id = job.to_owned();
            Err(StoreError::Row { table: "jobs", id, column: "on_deadline" })
        }
    }
}

/// An item's content from its JSON.
pub(crate) fn content(text: &str, id: &str) -> Result<Content> {
    serde_json::from_str(text).map_err(|_| StoreError::Row {
        table: "items",
        id: id.to_owned(),
        column: "content",
    })
}

#[derive(sqlx::FromRow)]
pub(crate) struct DeliveryRow {
    id: String,
    job_id: String,
    tenant: String,
    event: String,
    item_id: Option<String>,
    decision_id: Option<String>,
    url: String,
    created_at: i64,
    attempts: i64,
    next_at: Option<i64>,
    last_error: Option<String>,
    delivered_at: Option<i64>,
    dead_at: Option<i64>,
}

impl DeliveryRow {
    pub(crate) fn parsed(self) -> Result<Delivery> {
        let event = match self.event.as_str() {
            "item_done" => Event::ItemDone,
            "job_finished" => Event::JobFinished,
            "deadline_passed" => Event::DeadlinePassed,
            _ => return Err(StoreError::Row { table: "deliveries", id: self.id, column: "event" }),
        };
        Ok(Delivery {
            id: self.id.parse()?,
            job: self.job_id.parse()?,
            tenant: self.tenant,
            event,
            item: self.item_id.map(|id| id.parse()).transpose()?,
            decision: self.decision_id.map(|id| id.parse()).transpose()?,
            url: self.url,
            created_at: Millis(self.created_at),
            attempts: self.attempts,
            next_at: self.next_at.map(Millis),
            last_error: self.last_error,
            delivered_at: self.delivered_at.map(Millis),
            dead_at: self.dead_at.map(Millis),
        })
    }
}
