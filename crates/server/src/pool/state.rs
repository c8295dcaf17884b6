//! What waits, by class and by key.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use policy::Verdict;
use tokio::sync::oneshot;
use tracing::Span;

use super::task::{Class, Task, Ticket};
use crate::lane::{Lane, Share, cost};

/// Seconds a verdict is taken to need before one was made.
const FIRST_GUESS: f64 = 1.0;

/// A task in the queue.
pub(super) struct Queued {
    pub(super) task: Task,
    pub(super) verdict: oneshot::Sender<Verdict>,
    pub(super) is_cancelled: Arc<AtomicBool>,
    pub(super) since: Instant,
    /// The request's, for traces.
    pub(super) span: Span,
    /// Open while it waits.
    pub(super) waiting: Span,
}

impl Queued {
    pub(super) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }
}

/// The queue.
pub(super) struct State {
    lanes: [Lane<Queued>; Class::N],
    /// Seconds that a verdict takes, recent ones counting more.
    pub(super) mean_seconds: f64,
    pub(super) is_closed: bool,
}

impl Default for State {
    fn default() -> State {
        State {
            lanes: std::array::from_fn(|_| Lane::default()),
            mean_seconds: FIRST_GUESS,
            is_closed: false,
        }
    }
}

impl State {
    pub(super) fn len(&self) -> usize {
        self.lanes.iter().map(Lane::len).sum()
    }

    /// About how many go before a new task.
    pub(super) fn n_before(&self, class: Class, share: &Share) -> usize {
        let earlier = self.lanes[..class as usize].iter().map(Lane::len);
        earlier.sum::<usize>() + self.lanes[class as usize].n_before(share)
    }

    /// Whether `n` more may wait. What waits in later classes keeps nobody out, so at most `queue_len` wait in
    /// each class; but one key's flood does not take the room of others: up to its even share of the class, a
    /// key gets in beside it, until twice as many wait.
    pub(super) fn has_room(&self, class: Class, share: &Share, n: usize, queue_len: usize) -> bool {
        let n_waiting = n + self.lanes[..=class as usize].iter().map(Lane::len).sum::<usize>();
        let lane = &self.lanes[class as usize];
        let even = queue_len / lane.n_shares_with(share);
        n_waiting <= queue_len || (n_waiting <= 2 * queue_len && lane.len_of(share) + n <= even)
    }

    pub(super) fn forget_cancelled(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.retain(|queued| !queued.is_cancelled()));
    }

    pub(super) fn push(&mut self, task: Task, now: Instant, model: &Arc<str>) -> Ticket {
        let (sender, verdict) = oneshot::channel();
        let is_cancelled = Arc::new(AtomicBool::new(false));
        let ticket = Ticket {
            verdict,
            is_cancelled: Arc::clone(&is_cancelled),
            policy: Arc::clone(&task.policy),
            model: Arc::clone(model),
            deadline: task.deadline,
        };
        let span = Span::current();
        let waiting = tracing::info_span!(parent: &span, "queue");
        let queued = Queued { verdict: sender, is_cancelled, since: now, span, waiting, task };
        let (lane, share) = (queued.task.class as usize, queued.task.key.clone());
        let n_bytes = queued.task.content.texts().iter().map(|text| text.len()).sum();
        self.lanes[lane].push(share, cost(n_bytes), queued);
        ticket
    }

    pub(super) fn pop(&mut self) -> Option<Queued> {
        self.lanes.iter_mut().find_map(Lane::pop)
    }
}
