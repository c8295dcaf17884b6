//! One line of an output or error file, from what came of its items.

use policy::{Cause, Outcome, Verdict};
use serde::Serialize;
use serde_json::{Value, json};
use store::{Item, ItemState, Job};

use crate::api::{ClassifyResponse, Completion, ModerationResponse, PairResult};
use crate::error::ApiError;
use crate::jobs::{Fault, ItemDetails, LineDetails};
use crate::settings::Moderations;

/// A line, and which file it is for.
pub(super) struct Reply {
    pub(super) line: Value,
    pub(super) kind: Kind,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Completed,
    Failed,
    /// The window closed before it was judged.
    Expired,
}

/// What replies of all lines need.
pub(super) struct Replies<'a> {
    pub(super) job: &'a Job,
    pub(super) model: &'a str,
    pub(super) moderations: &'a Moderations,
}

impl Replies<'_> {
    /// The line of a request that could not be taken.
    pub(super) fn fault(&self, fault: &Fault, at: usize) -> Reply {
        let id = format!("{}-{at}", self.job.id);
        let response = response(&id, fault.status, &fault.body);
        Reply { line: line(&id, &fault.custom_id, &response, &Value::Null), kind: Kind::Failed }
    }

    /// The line of a request from its items, of which there is at least one.
    pub(super) fn of(&self, items: &[Item]) -> Reply {
        let first = &items[0];
        let (id, name) = (first.id.as_str(), first.custom_id.as_deref().unwrap_or_default());
        let told = |code: &str, message: &str, kind| {
            let error = json!({ "code": code, "message": message });
            Reply { line: line(id, name, &Value::Null, &error), kind }
        };
        if items.iter().any(|item| item.state == ItemState::Cancelled) {
            let message = "the batch was cancelled before this request was judged";
            return told("batch_cancelled", message, Kind::Failed);
        }
        if items.iter().any(|item| self.is_expired(item)) {
            let message = "this request could not be judged before the completion window closed";
            return told("batch_expired", message, Kind::Expired);
        }
        let (status, body, kind) = match self.body(items) {
            Ok(body) => (200, body, Kind::Completed),
            Err(error) => (error.status().as_u16(), plain(&error.openai()), Kind::Failed),
        };
        Reply { line: line(id, name, &response(id, status, &body), &Value::Null), kind }
    }

    fn is_expired(&self, item: &Item) -> bool {
        let is_timeout = item
            .decision
            .as_ref()
            .is_some_and(|it| it.outcome == Outcome::Undetermined(Cause::Timeout));
        let is_late = |(done, deadline)| done >= deadline;
        is_timeout && item.done_at.zip(self.job.deadline_at).is_some_and(is_late)
    }

    /// The body that the route would have answered with.
    fn body(&self, items: &[Item]) -> Result<Value, ApiError> {
        let details: Vec<ItemDetails> =
            items.iter().map(|it| serde_json::from_str(&it.details).unwrap_or_default()).collect();
        let verdicts: Vec<Verdict> = items.iter().filter_map(verdict).collect();
        let id = items[0].id.as_str();
        match details[0].line.clone() {
            Some(LineDetails::Chat { model, reasoning }) => {
                let verdict = &verdicts[0];
                if let Outcome::Undetermined(cause) = verdict.outcome
                    && cause != Cause::Truncated
                {
                    let policy = verdict.policy.name.clone();
                    return Err(ApiError::Undetermined { policy, cause });
                }
                let id = format!("chatcmpl-{id}");
                Ok(plain(&Completion::later(id, &model, reasoning, verdict)))
            }
            Some(LineDetails::Classify { on_undetermined, reasoning }) => {
                let results = items.iter().zip(details).zip(verdicts);
                let results = results.map(|((item, details), verdict)| {
                    let decision = item.decision.as_ref().map(|it| it.id.clone());
                    let of = (details.index, details.id);
                    PairResult::judged(of, decision, verdict, on_undetermined, reasoning)
                });
                Ok(plain(&ClassifyResponse::new(results.collect())))
            }
            Some(LineDetails::Moderation) | None => {
                let n_policies = details.iter().filter(|it| it.index == 0).count().max(1);
                let id = format!("modr-{id}");
                let items = verdicts.chunks(n_policies);
                Ok(plain(&ModerationResponse::new(id, self.model, items, self.moderations)?))
            }
        }
    }
}

fn verdict(item: &Item) -> Option<Verdict> {
    item.decision.as_ref().map(|decision| decision.verdict(item.words.clone()))
}

fn line(id: &str, custom_id: &str, response: &Value, error: &Value) -> Value {
    let id = format!("batch_req_{id}");
    json!({ "id": id, "custom_id": custom_id, "response": response, "error": error })
}

fn response(id: &str, status: u16, body: &Value) -> Value {
    json!({ "status_code": status, "request_id": id, "body": body })
}

fn plain(body: &impl Serialize) -> Value {
    serde_json::to_value(body).expect("a body is plain data")
}
