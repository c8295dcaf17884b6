//! Deliveries: what webhooks are told, at least once, and when a failed one is tried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{DecisionId, DeliveryId, ItemId, JobId};
use crate::time::Millis;

/// What a webhook is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// An item has its decision.
    ItemDone,
    /// All items are settled.
    JobFinished,
    /// The deadline passed with items open.
    DeadlinePassed,
}

impl Event {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Event::ItemDone => "item_done",
            Event::JobFinished => "job_finished",
            Event::DeadlinePassed => "deadline_passed",
        }
    }
}

/// Something to be told to a webhook, at least once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its id, the same at every try: the idempotency key.
    pub id: DeliveryId,
    /// The job.
    pub job: JobId,
    /// Whose it is.
    pub tenant: String,
    /// What happened.
    pub event: Event,
    /// To which item.
    pub item: Option<ItemId>,
    /// With which decision.
    pub decision: Option<DecisionId>,
    /// Where to.
    pub url: String,
    /// When it happened.
    pub created_at: Millis,
    /// How many tries failed.
    pub attempts: i64,
    /// When the next try is due; `None` once delivered or dead.
    pub next_at: Option<Millis>,
    /// What the last try said.
    pub last_error: Option<String>,
    /// When the webhook heard of it.
    pub delivered_at: Option<Millis>,
    /// When it was given up.
    pub dead_at: Option<Millis>,
}

/// How far a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It will be tried, for the first time or again.
    Due,
    /// The webhook has heard.
    Delivered,
    /// It was given up.
    Dead,
}

impl DeliveryState {
    pub(crate) fn word(self) -> &'static str {
        match self {
            DeliveryState::Due => "due",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Dead => "dead",
        }
    }
}

impl Delivery {
    /// How far it is.
    pub fn state(&self) -> DeliveryState {
        match (self.delivered_at, self.dead_at) {
            (Some(_), _) => DeliveryState::Delivered,
            (None, Some(_)) => DeliveryState::Dead,
            (None, None) => DeliveryState::Due,
        }
    }
}

/// When a failed delivery is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Before the second try; doubled at each further one.
    pub first: Duration,
    /// Never longer than this.
    pub longest: Duration,
    /// Tries after which the delivery is dead.
    pub n_tries: u32,
}

impl Default for Backoff {
    /// 5 s, 10 s, … up to an hour; 16 tries span about seven hours.
    fn default() -> Backoff {
        Backoff { first: Duration::from_secs(5), longest: Duration::from_secs(3600), n_tries: 16 }
    }
}

impl Backoff {
    /// The same with all waits shortened by up to a half, so that what failed together does not come again
    /// together; `chance` is drawn anew for each wait.
    #[must_use]
    pub fn jittered(self, chance: u32) -> Backoff {
        let part = 1.0 - f64::from(chance) / f64::from(u32::MAX) / 2.0;
        Backoff { first: self.first.mul_f64(part), longest: self.longest.mul_f64(part), ..self }
    }

    /// The wait after this many failed tries; `None` if there is no further one.
    pub fn wait(&self, n_failed: u32) -> Option<Duration> {
        if n_failed >= self.n_tries {
            return None;
        }
        let factor = 2u32.saturating_pow(n_failed.saturating_sub(1));
        Some(self.first.saturating_mul(factor).min(self.longest))
    }
}
