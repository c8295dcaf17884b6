//! What is to be judged, who waits for it and who hears it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use policy::{AnswerToken, Cause, Content, Heard, JudgeSettings, Observer, Policy, Verdict};
use tokio::sync::{mpsc, oneshot};

use crate::lane::Share;

/// How long a verdict that comes at the last moment is waited for.
const GRACE: Duration = Duration::from_millis(250);

/// What goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Text on its way to a reader is held back for it.
    Guard,
    /// Somebody waits for this answer now.
    Sync,
    /// It is told of later.
    Job,
    /// A candidate version is tried; nobody waits.
    Shadow,
}

impl Class {
    pub(super) const N: usize = 4;
}

/// One judgement wanted.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) class: Class,
    /// Whose share of the judges it takes.
    pub(crate) key: Share,
    pub(crate) policy: Arc<Policy>,
    pub(crate) content: Arc<Content>,
    pub(crate) settings: JudgeSettings,
    pub(crate) deadline: Instant,
    /// Hears the reply as it is made; its length bounds what waits there.
    pub(crate) listener: Option<mpsc::UnboundedSender<Heard>>,
}

/// A place in the queue, and then the verdict.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(super) verdict: oneshot::Receiver<Verdict>,
    pub(super) is_cancelled: Arc<AtomicBool>,
    pub(super) policy: Arc<Policy>,
    pub(super) model: Arc<str>,
    pub(super) deadline: Instant,
}

impl Ticket {
    /// Waits for the verdict; soon after the deadline that is `undetermined`, by timeout.
    pub(crate) async fn verdict(mut self) -> Verdict {
        let end = tokio::time::Instant::from_std(self.deadline + GRACE);
        let (cause, detail) = match tokio::time::timeout_at(end, &mut self.verdict).await {
            Ok(Ok(verdict)) => return verdict,
            Ok(Err(_)) => (Cause::BackendError, "the service stopped"),
            Err(_) => (Cause::Timeout, "the time allowed ran out before a judge was free"),
        };
        Verdict::undetermined(cause, detail, self.policy.reference(), &self.model)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }
}

/// Who waits for a verdict.
pub(super) struct Caller<'a> {
    pub(super) is_cancelled: &'a AtomicBool,
    pub(super) listener: Option<&'a mpsc::UnboundedSender<Heard>>,
}

impl Caller<'_> {
    fn tell(&self, heard: impl FnOnce() -> Heard) {
        if let Some(listener) = self.listener {
            // Whoever stopped listening may still want the verdict.
            let _ = listener.send(heard());
        }
    }
}

impl Observer for Caller<'_> {
    fn reasoning(&mut self, text: &str) {
        self.tell(|| Heard::Reasoning(text.to_owned()));
    }

    fn answer(&mut self, token: &AnswerToken) {
        self.tell(|| Heard::Answer(token.clone()));
    }

    fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }
}
