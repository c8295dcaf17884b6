//! A small pool of own threads: the caller works too, workers spin briefly and then sleep.
//!
//! Regions are short (tens of microseconds) and many (a few hundred a step), so waking must be cheap and
//! a worker that comes too late must not hold the others up: a region closes when its tasks are
//! done, and only workers already inside are waited for. Each thread begins with a share of neighbouring tasks, since
//! what is next in memory is asked for early, and then helps the others with theirs.

use std::any::Any;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

/// Checks for new work before a worker sleeps: some tens of microseconds.
const SPINS: usize = 20_000;

/// Threads that share the tasks of one region at a time.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// One region at a time, whoever calls; its shares, one for each thread.
    turn: Mutex<Vec<Share>>,
}

/// Neighbouring tasks, on cache lines of their own.
#[derive(Default)]
#[repr(align(128))]
struct Share {
    /// The first that nobody took.
    next: AtomicUsize,
    /// The one behind the last.
    end: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Counts regions; workers watch it while they spin.
    epoch: AtomicUsize,
    woken: Condvar,
    left: Condvar,
}

#[derive(Default)]
struct State {
    region: Option<Region>,
    /// Workers that took the region and have not come back.
    n_inside: usize,
    panic: Option<Box<dyn Any + Send>>,
    closing: bool,
}

#[derive(Clone, Copy)]
struct Region {
    task: *const (dyn Fn(usize) + Sync),
    shares: *const [Share],
    /// Threads that came so far.
    n_arrived: *const AtomicUsize,
}

// SAFETY: the pointers are only followed while `Pool::run` keeps what they point to alive.
unsafe impl Send for Region {}

impl Pool {
    /// A pool of `n_threads` in all, the caller's included; at least one.
    pub fn new(n_threads: usize) -> Pool {
        let shared = Arc::new(Shared::default());
        let workers = (1..n_threads)
            .map(|at| {
                let shared = Arc::clone(&shared);
                std::thread::Builder::new()
                    .name(format!("safeguard-kernel-{at}"))
                    .spawn(move || shared.work())
                    .expect("the system starts a thread")
            })
            .collect();
        let turn = Mutex::new((0..n_threads.max(1)).map(|_| Share::default()).collect());
        Pool { shared, workers, turn }
    }

    /// Threads in all, the caller's included.
    pub fn n_threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `task` with each of `0..n_tasks` once, on any thread, and returns when all are done.
    ///
    /// # Panics
    /// When a task panics: the first panic goes on in the caller, after the other tasks have ended.
    pub fn run(&self, n_tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        if self.workers.is_empty() || n_tasks <= 1 {
            (0..n_tasks).for_each(task);
            return;
        }
        let mut shares = self.turn.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let n_shares = shares.len();
        for (at, share) in shares.iter_mut().enumerate() {
            *share.next.get_mut() = at * n_tasks / n_shares;
            share.end = (at + 1) * n_tasks / n_shares;
        }
        let n_arrived = AtomicUsize::new(0);
        // SAFETY: only the lifetime is erased; `close` below waits for every worker that took it.
        let task = unsafe {
            std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(task)
        };
        let region =
            Region { task, shares: &raw const shares[..], n_arrived: &raw const n_arrived };
        self.shared.open(region);
        let own = catch_unwind(AssertUnwindSafe(|| region.work()));
        let theirs = self.shared.close();
        drop(shares);
        if let Some(panic) = own.err().or(theirs) {
            resume_unwind(panic);
        }
    }
}

impl Pool {
    /// Calls `task` with each chunk of `out` and its index; chunks have `chunk_len` cells, the last
    /// one what is left.
    ///
    /// # Panics
    /// As [`Pool::run`], and when `chunk_len` is 0.
    pub fn for_chunks<T: Send>(
        &self,
        out: &mut [T],
        chunk_len: usize,
        task: &(dyn Fn(usize, &mut [T]) + Sync),
    ) {
        let len = out.len();
        let shared = SharedOut::new(out);
        self.run(len.div_ceil(chunk_len), &|at| {
            let start = at * chunk_len;
            // SAFETY: chunks lie inside `out` and do not overlap, and each index comes once.
            task(at, unsafe { shared.range(start, chunk_len.min(len - start)) });
        });
    }
}

/// A slice that several threads write, in ranges that do not overlap.
pub(crate) struct SharedOut<'a, T = f32> {
    start: *mut T,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: `range` is only called for ranges that no other thread uses.
unsafe impl<T: Send> Sync for SharedOut<'_, T> {}

impl<'a, T> SharedOut<'a, T> {
    pub(crate) fn new(out: &'a mut [T]) -> SharedOut<'a, T> {
        SharedOut { start: out.as_mut_ptr(), slice: PhantomData }
    }

    /// # Safety
    /// The range lies inside the slice, and no other thread uses it meanwhile.
    #[expect(clippy::mut_from_ref, reason = "ranges are disjoint by contract")]
    pub(crate) unsafe fn range(&self, start: usize, len: usize) -> &mut [T] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.epoch.fetch_add(1, Ordering::Release);
        self.shared.woken.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches its tasks' panics, so joining cannot fail with one.
            let _ = worker.join();
        }
    }
}

impl Region {
    /// Takes tasks until none is left: those of a share of its own, then those of the others.
    fn work(&self) {
        // SAFETY: `Pool::run` keeps all three alive until every worker has left the region.
        let (task, shares, n_arrived) = unsafe { (&*self.task, &*self.shares, &*self.n_arrived) };
        let own = n_arrived.fetch_add(1, Ordering::Relaxed) % shares.len();
        for share in shares[own..].iter().chain(&shares[..own]) {
            loop {
                let at = share.next.fetch_add(1, Ordering::Relaxed);
                if at >= share.end {
                    break;
                }
                task(at);
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn open(&self, region: Region) {
        let mut state = self.lock();
        state.region = Some(region);
        // Inside the lock, or a worker about to sleep would miss it.
        self.epoch.fetch_add(1, Ordering::Release);
        drop(state);
        self.woken.notify_all();
    }

    /// Ends the region and waits for the workers inside; gives the panic of one of them.
    fn close(&self) -> Option<Box<dyn Any + Send>> {
        let mut state = self.lock();
        state.region = None;
        while state.n_inside > 0 {
            state = self.left.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        state.panic.take()
    }

    fn work(&self) {
        let mut seen = 0;
        while let Some(region) = self.enter(&mut seen) {
            let result = catch_unwind(AssertUnwindSafe(|| region.work()));
            let mut state = self.lock();
            state.n_inside -= 1;
            if let Err(panic) = result {
                state.panic.get_or_insert(panic);
            }
            if state.n_inside == 0 {
                self.left.notify_one();
            }
        }
    }

    /// Waits for a region that this worker has not seen; `None` when the pool closes.
    fn enter(&self, seen: &mut usize) -> Option<Region> {
        for _ in 0..SPINS {
            if self.epoch.load(Ordering::Acquire) != *seen {
                break;
            }
            std::hint::spin_loop();
        }
        let mut state = self.lock();
        loop {
            if state.closing {
                return None;
            }
            let epoch = self.epoch.load(Ordering::Acquire);
            if epoch != *seen {
                *seen = epoch;
                if let Some(region) = state.region {
                    state.n_inside += 1;
                    return Some(region);
                }
            }
            state = self.woken.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }
}
