//! From async requests to judges that block: a bounded queue in classes, and threads that take from it.
//!
//! A class goes before the next one; within a class keys share the judges (`lane.rs`).
//!
//! Who drops a [`Ticket`] takes the work back: it is not begun, or the judge is told to stop. A judge that
//! panics costs its own verdict and nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use policy::{AnswerToken, Cause, Content, Judge, JudgeSettings, Observer, Policy, Verdict};
use tokio::sync::{mpsc, oneshot};
use tracing::Span;
use tracing::field::Empty;

use crate::error::ApiError;
use crate::lane::{Lane, Share, cost};
use crate::metrics::Metrics;

/// How long a verdict that comes at the last moment is waited for.
const GRACE: Duration = Duration::from_millis(250);
/// Seconds a verdict is taken to need before one was made.
const FIRST_GUESS: f64 = 1.0;

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
    const N: usize = 4;
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

/// A piece of a reply in the making.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    Thought(String),
    Answer(AnswerToken),
}

/// A place in the queue, and then the verdict.
#[derive(Debug)]
pub(crate) struct Ticket {
    verdict: oneshot::Receiver<Verdict>,
    is_cancelled: Arc<AtomicBool>,
    policy: Arc<Policy>,
    model: Arc<str>,
    deadline: Instant,
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

struct Queued {
    task: Task,
    verdict: oneshot::Sender<Verdict>,
    is_cancelled: Arc<AtomicBool>,
    since: Instant,
    /// The request's, for traces.
    span: Span,
    /// Open while it waits.
    waiting: Span,
}

impl Queued {
    fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }
}

/// The queue and its threads.
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    judge: Arc<dyn Judge>,
    model: Arc<str>,
    metrics: Arc<Metrics>,
    queue_len: usize,
    n_threads: usize,
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    lanes: [Lane<Queued>; Class::N],
    /// Seconds that a verdict takes, recent ones counting more.
    mean_seconds: f64,
    is_closed: bool,
}

impl Pool {
    /// Starts `n_threads` threads that judge.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub(crate) fn start(
        judge: Arc<dyn Judge>,
        metrics: Arc<Metrics>,
        queue_len: usize,
        n_threads: usize,
    ) -> std::io::Result<Pool> {
        let state = State {
            lanes: std::array::from_fn(|_| Lane::default()),
            mean_seconds: FIRST_GUESS,
            is_closed: false,
        };
        let shared = Arc::new(Shared {
            model: judge.identity().into(),
            judge,
            metrics,
            queue_len,
            n_threads,
            state: Mutex::new(state),
            wake: Condvar::new(),
        });
        let pool = Pool { shared };
        for number in 0..n_threads {
            let shared = Arc::clone(&pool.shared);
            let thread = std::thread::Builder::new().name(format!("judge-{number}"));
            thread.spawn(move || shared.work())?;
        }
        Ok(pool)
    }

    /// Queues all tasks, or none.
    ///
    /// # Errors
    /// [`ApiError::Busy`] without room for all, [`ApiError::Late`] where the estimate of the wait passes a
    /// deadline, [`ApiError::Stopping`].
    pub(crate) fn submit(&self, tasks: Vec<Task>) -> Result<Vec<Ticket>, ApiError> {
        let shared = &self.shared;
        let mut state = shared.state();
        if state.is_closed {
            return Err(ApiError::Stopping);
        }
        state.forget_cancelled();
        let Some(last) = tasks.iter().max_by_key(|task| task.class) else { return Ok(Vec::new()) };
        let wait = shared.estimate(state.n_before(last.class, &last.key), state.mean_seconds);
        if !state.has_room(last.class, &last.key, tasks.len(), shared.queue_len) {
            return Err(ApiError::Busy { retry_after: wait.max(Duration::from_secs(1)) });
        }
        let now = Instant::now();
        let is_late = |task: &Task| !wait.is_zero() && now + wait > task.deadline;
        if tasks.iter().any(is_late) {
            return Err(ApiError::Late { retry_after: wait.max(Duration::from_secs(1)) });
        }
        let tickets = tasks.into_iter().map(|task| state.push(task, now, &shared.model)).collect();
        shared.metrics.set_queue(state.len());
        drop(state);
        shared.wake.notify_all();
        Ok(tickets)
    }

    /// Takes no more tasks; those queued are still judged.
    pub(crate) fn close(&self) {
        self.shared.state().is_closed = true;
        self.shared.wake.notify_all();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}

impl State {
    fn len(&self) -> usize {
        self.lanes.iter().map(Lane::len).sum()
    }

    /// About how many go before a new task.
    fn n_before(&self, class: Class, share: &Share) -> usize {
        let earlier = self.lanes[..class as usize].iter().map(Lane::len);
        earlier.sum::<usize>() + self.lanes[class as usize].n_before(share)
    }

    /// Whether `n` more may wait. What waits in later classes keeps nobody out, so at most `queue_len` wait in
    /// each class; but one key's flood does not take the room of others: up to its even share of the class, a
    /// key gets in beside it, until twice as many wait.
    fn has_room(&self, class: Class, share: &Share, n: usize, queue_len: usize) -> bool {
        let n_waiting = n + self.lanes[..=class as usize].iter().map(Lane::len).sum::<usize>();
        let lane = &self.lanes[class as usize];
        let even = queue_len / lane.n_shares_with(share);
        n_waiting <= queue_len || (n_waiting <= 2 * queue_len && lane.len_of(share) + n <= even)
    }

    fn forget_cancelled(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.retain(|queued| !queued.is_cancelled()));
    }

    fn push(&mut self, task: Task, now: Instant, model: &Arc<str>) -> Ticket {
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

    fn pop(&mut self) -> Option<Queued> {
        self.lanes.iter_mut().find_map(Lane::pop)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a new task waits behind `n_ahead` others.
    fn estimate(&self, n_ahead: usize, mean_seconds: f64) -> Duration {
        let rounds = n_ahead as f64 / self.n_threads as f64;
        crate::settings::duration(rounds * mean_seconds)
    }

    fn work(&self) {
        while let Some(mut queued) = self.next() {
            queued.waiting = Span::none();
            if queued.is_cancelled() {
                continue;
            }
            let start = Instant::now();
            self.metrics.waited(start - queued.since);
            let judging = tracing::info_span!(
                parent: &queued.span, "judge", outcome = Empty, cause = Empty, stage = Empty, tokens = Empty,
            );
            let verdict = judging.in_scope(|| self.judge(&queued, start));
            told(judging, &verdict);
            self.metrics.judged(&verdict, start.elapsed());
            let seconds = start.elapsed().as_secs_f64();
            let mut state = self.state();
            state.mean_seconds += (seconds - state.mean_seconds) * 0.1;
            drop(state);
            // Nobody may be waiting any more.
            let _ = queued.verdict.send(verdict);
        }
    }

    /// The next task; `None` when there will be none.
    fn next(&self) -> Option<Queued> {
        let mut state = self.state();
        loop {
            if let Some(queued) = state.pop() {
                self.metrics.set_queue(state.len());
                return Some(queued);
            }
            if state.is_closed {
                return None;
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn judge(&self, queued: &Queued, start: Instant) -> Verdict {
        let Task { policy, content, settings, deadline, listener, .. } = &queued.task;
        let none = |cause, detail: &str| {
            Verdict::undetermined(cause, detail, policy.reference(), &self.model)
        };
        let left = deadline.saturating_duration_since(start);
        if left.is_zero() {
            return none(Cause::Timeout, "the time allowed ran out before a judge was free");
        }
        let timeout = Some(settings.timeout.map_or(left, |timeout| timeout.min(left)));
        let settings = JudgeSettings { timeout, ..settings.clone() };
        let mut caller = Caller { is_cancelled: &queued.is_cancelled, listener: listener.as_ref() };
        let judged = catch_unwind(AssertUnwindSafe(|| {
            self.judge.judge(policy, content, &settings, &mut caller)
        }));
        judged.unwrap_or_else(|_| none(Cause::BackendError, "the judge panicked"))
    }
}

/// What a trace says of a verdict.
fn told(judging: Span, verdict: &Verdict) {
    let (outcome, cause) = verdict.outcome.names();
    judging.record("outcome", outcome).record("stage", verdict.stage.name());
    judging.record("tokens", verdict.usage.generated_tokens);
    if let Some(cause) = cause {
        judging.record("cause", cause);
    }
}

/// Who waits for a verdict.
struct Caller<'a> {
    is_cancelled: &'a AtomicBool,
    listener: Option<&'a mpsc::UnboundedSender<Heard>>,
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
        self.tell(|| Heard::Thought(text.to_owned()));
    }

    fn answer(&mut self, token: &AnswerToken) {
        self.tell(|| Heard::Answer(token.clone()));
    }

    fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use store::{KeyId, Millis};

    use super::*;

    /// Begins and does not end before it is told to.
    struct Stuck;

    impl Judge for Stuck {
        fn identity(&self) -> String {
            "stuck".to_owned()
        }

        fn judge(
            &self,
            policy: &Policy,
            _: &Content,
            _: &JudgeSettings,
            observer: &mut dyn Observer,
        ) -> Verdict {
            while !observer.is_cancelled() {
                std::thread::sleep(Duration::from_millis(1));
            }
            Verdict::undetermined(Cause::Cancelled, "", policy.reference(), "stuck")
        }
    }

    #[test]
    fn what_waits_in_a_later_class_keeps_no_earlier_one_out() {
        let pool = Pool::start(Arc::new(Stuck), Arc::new(Metrics::new()), 2, 1).unwrap();
        let policy = Arc::new(Policy::parse("p", b"No ads.").unwrap());
        let other = Some(KeyId::new(Millis(1)).unwrap());
        let submit = |class, key: Option<&KeyId>, deadline_s| {
            pool.submit(vec![Task {
                class,
                key: key.cloned(),
                policy: Arc::clone(&policy),
                content: Arc::new(Content::text("x")),
                settings: JudgeSettings::default(),
                deadline: Instant::now() + Duration::from_secs_f64(deadline_s),
                listener: None,
            }])
        };
        let first = submit(Class::Sync, None, 60.0).unwrap();
        while pool.shared.state().len() > 0 {
            std::thread::yield_now();
        }
        let sync = |key| submit(Class::Sync, key, 60.0);
        let waiting = [sync(None).unwrap(), sync(None).unwrap()];
        assert!(matches!(sync(None), Err(ApiError::Busy { .. })));
        let beside = sync(other.as_ref()).expect("another key has its even share");
        assert!(matches!(sync(other.as_ref()), Err(ApiError::Busy { .. })));
        let guard = |deadline_s| submit(Class::Guard, None, deadline_s);
        let guarding = [guard(0.5).unwrap(), guard(60.0).unwrap()];
        assert!(matches!(guard(60.0), Err(ApiError::Busy { .. })));
        drop((first, waiting, beside, guarding));
    }
}
