//! What callers read of a job, by its route and by webhook.

use serde::Serialize;
use serde_json::Value;
use store::{Item, ItemState, Job, OnDeadline};
use utoipa::ToSchema;

use super::details::{ItemDetails, JobDetails, Refused};
use crate::api::{Action, PolicyBody};
use crate::wire::VerdictBody;

/// A job, and a page of its pairs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobBody {
    id: String,
    /// `classify` or `batch`.
    kind: String,
    /// `running`, `finished` or `cancelled`.
    state: &'static str,
    /// When it was accepted, as all times of RFC 3339.
    accepted_at: String,
    deadline_at: Option<String>,
    /// `undetermined` or `wait`.
    on_deadline: &'static str,
    finished_at: Option<String>,
    /// Pairs of item and policy.
    n_items: i64,
    /// Those that have their outcome.
    n_done: i64,
    /// Those that were cancelled before.
    n_cancelled: i64,
    /// A page of pairs; absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Vec<JobResult>>,
    /// `after` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
    /// Pairs that could not be taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<Refused>,
}

/// One pair of a job.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobResult {
    /// The item's place in the request, from 0.
    index: usize,
    /// The item's own id.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
    /// The pair's id in the store.
    item: String,
    policy: PolicyBody,
    /// `waiting`, `judging`, `done` or `cancelled`.
    state: &'static str,
    /// What to do, once there is an outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<Action>,
    /// The decision's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<String>,
    /// The verdict; its rationale and reasoning as long as they are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<VerdictBody>,
    /// Whether the outcome came after the deadline: what was done without it may have to be undone.
    late: bool,
}

impl JobBody {
    /// The job alone.
    pub(crate) fn new(job: &Job) -> JobBody {
        let state = match (job.finished_at, job.cancelled_at) {
            (None, _) => "running",
            (Some(_), None) => "finished",
            (Some(_), Some(_)) => "cancelled",
        };
        JobBody {
            id: job.id.to_string(),
            kind: job.kind.clone(),
            state,
            accepted_at: job.accepted_at.rfc3339(),
            deadline_at: job.deadline_at.map(|at| at.rfc3339()),
            on_deadline: match job.on_deadline {
                OnDeadline::Wait => "wait",
                OnDeadline::GiveUp => "undetermined",
            },
            finished_at: job.finished_at.map(|at| at.rfc3339()),
            n_items: job.n_items,
            n_done: job.n_done,
            n_cancelled: job.n_cancelled,
            results: None,
            next: None,
            refused: Vec::new(),
        }
    }

    /// As it is accepted: with what could not be taken.
    pub(crate) fn accepted(job: &Job, details: JobDetails) -> JobBody {
        JobBody { refused: details.refused, ..JobBody::new(job) }
    }

    /// With a page of its items; `limit` is the most that a page has.
    pub(crate) fn with(job: &Job, details: &JobDetails, items: &[Item], limit: usize) -> JobBody {
        let is_last = items.len() < limit;
        JobBody {
            results: Some(items.iter().map(|item| JobResult::new(job, details, item)).collect()),
            next: items.last().filter(|_| !is_last).map(|item| item.position),
            refused: details.refused.clone(),
            ..JobBody::new(job)
        }
    }
}

impl JobResult {
    /// What is known of an item.
    pub(crate) fn new(job: &Job, details: &JobDetails, item: &Item) -> JobResult {
        let own: ItemDetails = serde_json::from_str(&item.details).unwrap_or_default();
        let verdict = item.decision.as_ref().map(|it| it.verdict(item.words.clone()));
        let otherwise = own.on_undetermined(details);
        let action = verdict.as_ref().map(|it| Action::of(it.outcome, otherwise).0);
        let is_late = |(done, deadline)| done > deadline;
        JobResult {
            index: own.index,
            id: own.id.or_else(|| item.custom_id.clone().map(Value::from)),
            item: item.id.to_string(),
            policy: PolicyBody::of(&item.policy),
            state: match item.state {
                ItemState::Waiting => "waiting",
                ItemState::Leased => "judging",
                ItemState::Done => "done",
                ItemState::Cancelled => "cancelled",
            },
            action,
            decision: item.decision.as_ref().map(|it| it.id.to_string()),
            verdict: verdict.map(|it| VerdictBody::new(it, details.reasoning)),
            late: item.done_at.zip(job.deadline_at).is_some_and(is_late),
        }
    }
}
