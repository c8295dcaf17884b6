//! From async requests to judges that block: a bounded queue in classes, and threads that take from it.
//!
//! A class goes before the next one; within a class keys share the judges (`lane.rs`). `task.rs` is what is asked
//! for, `state.rs` what waits.
//!
//! Who drops a [`Ticket`] takes the work back: it is not begun, or the judge is told to stop. A judge that
//! panics costs its own verdict and nothing else.

mod state;
mod task;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use policy::{Cause, Judge, JudgeSettings, Verdict};
use tracing::Span;
use tracing::field::Empty;

use state::{Queued, State};
pub(crate) use task::{Class, Task, Ticket};

use crate::error::ApiError;
use crate::metrics::Metrics;
use task::Caller;

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
        let shared = Arc::new(Shared {
            model: judge.identity().into(),
            judge,
            metrics,
            queue_len,
            n_threads,
            state: Mutex::default(),
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

#[cfg(test)]
mod tests {
    use policy::{Content, Observer, Policy};
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
        let pool = Pool::start(Arc::new(Stuck), Arc::new(Metrics::new(Vec::new())), 2, 1).unwrap();
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
