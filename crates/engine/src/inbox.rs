//! Requests that wait for a place: the one thing that callers and the engine's thread share.
//!
//! It holds at most `queue_len` requests. The engine's thread takes one out only when it has a
//! place for it, so this is the whole queue. While something waits here that thread is never asleep:
//! with nothing running there is always a place for the first.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::EngineError;
use crate::sequence::Sequence;

pub(crate) struct Inbox {
    state: Mutex<State>,
    changed: Condvar,
    queue_len: usize,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Sequence>,
    closed: bool,
}

impl Inbox {
    pub(crate) fn new(queue_len: usize) -> Inbox {
        Inbox { state: Mutex::default(), changed: Condvar::new(), queue_len }
    }

    /// # Errors
    ///
    /// [`EngineError::Stopped`], [`EngineError::QueueFull`].
    pub(crate) fn push(&self, sequence: Sequence) -> Result<(), EngineError> {
        let mut state = self.lock();
        if state.closed {
            return Err(EngineError::Stopped);
        }
        if state.queue.len() >= self.queue_len {
            return Err(EngineError::QueueFull { queue_len: self.queue_len });
        }
        state.queue.push_back(sequence);
        self.changed.notify_all();
        Ok(())
    }

    /// The longest waiting, if `admit` agrees to take it.
    pub(crate) fn pop_if(&self, admit: impl FnOnce(&Sequence) -> bool) -> Option<Sequence> {
        let mut state = self.lock();
        if admit(state.queue.front()?) { state.queue.pop_front() } else { None }
    }

    /// Takes out those that were cancelled while they waited.
    pub(crate) fn take_cancelled(&self) -> Vec<Sequence> {
        let mut state = self.lock();
        if !state.queue.iter().any(Sequence::is_cancelled) {
            return Vec::new();
        }
        let (cancelled, kept): (Vec<_>, Vec<_>) =
            state.queue.drain(..).partition(Sequence::is_cancelled);
        state.queue = kept.into();
        cancelled
    }

    /// Sleeps until something waits or the inbox is closed.
    pub(crate) fn wait_for_work(&self) {
        let state = self.lock();
        let asleep = |state: &mut State| state.queue.is_empty() && !state.closed;
        drop(self.changed.wait_while(state, asleep).unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Refuses all that comes and gives back all that waits.
    pub(crate) fn close(&self) -> Vec<Sequence> {
        let mut state = self.lock();
        state.closed = true;
        self.changed.notify_all();
        state.queue.drain(..).collect()
    }

    /// No code panics while it holds the lock; were it to, the queue would still be whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("queue_len", &self.queue_len).finish_non_exhaustive()
    }
}
