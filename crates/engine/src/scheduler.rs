//! The engine's thread: which tokens are computed in which step.
//!
//! Every step is one forward pass over parts of many sequences: the one new token of those that are
//! being continued, and chunks of prompts, oldest first, up to `max_batch_tokens`; small steps also compute guesses at
//! what comes next (`guess.rs`). Nothing decided
//! here changes a reply, only when it comes: a sequence's numbers do not depend on its neighbours,
//! on chunks, or on whether its prefix came from the cache. So a sequence can also lose its memory to
//! an older one and compute everything again later.

use std::collections::VecDeque;
use std::sync::Arc;

use model::forward::Segment;
use model::kv::BLOCK_LEN;

use crate::error::EngineError;
use crate::generation::Finish;
use crate::inbox::Inbox;
use crate::kv::{Disk, KvCache, Need};
use crate::plan;
use crate::said::Said;
use crate::sampler::Sampler;
use crate::sequence::Sequence;
use crate::settings::Limits;
use crate::step::{self, Network};
use crate::totals::Tally;

pub(crate) struct Scheduler<N> {
    inbox: Arc<Inbox>,
    network: N,
    cache: KvCache,
    disk: Option<Disk>,
    said: Said,
    tally: Arc<Tally>,
    limits: Limits,
    sampler: Sampler,
    /// In order of submission.
    running: Vec<Sequence>,
    /// Ran before, and gave their memory to older ones; in order of submission. They go before
    /// those that wait in the inbox.
    preempted: VecDeque<Sequence>,
}

impl<N: Network> Scheduler<N> {
    pub(crate) fn new(
        inbox: Arc<Inbox>,
        network: N,
        cache: KvCache,
        disk: Option<Disk>,
        limits: Limits,
    ) -> Scheduler<N> {
        Scheduler {
            inbox,
            network,
            cache,
            disk,
            said: Said::default(),
            tally: Arc::default(),
            limits,
            sampler: Sampler::default(),
            running: Vec::new(),
            preempted: VecDeque::new(),
        }
    }

    /// Where it counts what it does.
    pub(crate) fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }

    /// Steps until the inbox is closed; then everybody is told.
    pub(crate) fn run(mut self) {
        while !self.inbox.is_closed() {
            self.end_cancelled();
            self.admit();
            if self.running.is_empty() {
                self.inbox.wait_for_work();
            } else {
                self.step();
            }
        }
        for sequence in self.running.into_iter().chain(self.preempted) {
            sequence.end(Finish::Failed(EngineError::Stopped));
        }
    }

    /// Cancelled sequences leave before the next step, wherever they are.
    fn end_cancelled(&mut self) {
        for sequence in self.running.iter_mut().filter(|sequence| sequence.is_cancelled()) {
            sequence.finish = Some(Finish::Cancelled);
        }
        self.end_finished();
        for sequence in self.inbox.take_cancelled() {
            sequence.end(Finish::Cancelled);
        }
        let (cancelled, kept): (Vec<_>, Vec<_>) =
            self.preempted.drain(..).partition(Sequence::is_cancelled);
        self.preempted = kept.into();
        for sequence in cancelled {
            sequence.end(Finish::Cancelled);
        }
    }

    /// Gives places to those that wait, oldest first, while there are places and memory.
    fn admit(&mut self) {
        while self.running.len() < self.limits.max_sequences {
            if self.preempted.front().is_some_and(|sequence| self.has_room_for(sequence)) {
                self.running.extend(self.preempted.pop_front());
            } else if self.preempted.is_empty()
                && let Some(mut sequence) =
                    self.inbox.pop_if(|sequence| self.has_room_for(sequence))
            {
                sequence.clock.admitted();
                self.load_prefix(&sequence);
                sequence.clock.loaded();
                sequence.steer(&self.limits);
                self.running.push(sequence);
            } else {
                break;
            }
            self.running.sort_by_key(|sequence| sequence.number);
            self.end_finished();
        }
    }

    /// What another process left of a sequence's prefix.
    fn load_prefix(&mut self, sequence: &Sequence) {
        if let Some(disk) = self.disk.as_mut().filter(|_| sequence.n_prefix > 0) {
            disk.load(&mut self.cache, &sequence.tokens[..sequence.n_prefix]);
        }
    }

    /// Whether a sequence could be computed to its last token beside those that run, as these stand
    /// now. One that would be alone always gets its chance.
    fn has_room_for(&self, sequence: &Sequence) -> bool {
        if self.running.is_empty() {
            return true;
        }
        let Limits { shape, max_batch_tokens, .. } = &self.limits;
        let promised =
            self.running.iter().map(|other| other.view.need(&self.cache, other.tokens.len()));
        let need: Need = promised.chain([self.cache.need(&sequence.tokens)]).sum();
        need.bytes(shape, *max_batch_tokens) <= self.cache.available_bytes()
    }

    fn step(&mut self) {
        plan::plan(&mut self.running, &mut self.cache, &self.said, &self.limits);
        self.set_preempted_aside();
        let mut planned: Vec<&mut Sequence> =
            self.running.iter_mut().filter(|sequence| sequence.n_step > 0).collect();
        if planned.is_empty() {
            self.fail_oldest();
            return;
        }
        let mut segments: Vec<Segment<'_>> =
            planned.iter_mut().map(|sequence| sequence.segment()).collect();
        let outcome = step::run(&mut self.network, &mut segments);
        self.tally.count_step();
        for (segment_idx, sequence) in planned.into_iter().enumerate() {
            sequence.n_steps_done += 1;
            match outcome.rows(segment_idx) {
                Ok(rows) => {
                    if !rows.is_empty() {
                        let (n_guessed, n_true) =
                            sequence.continue_by(&rows, &mut self.sampler, &self.limits);
                        self.tally.count_guess(n_guessed, n_true);
                    }
                    sequence.view.publish(&mut self.cache, &sequence.tokens);
                    keep_prefix(&mut self.cache, self.disk.as_mut(), sequence);
                    sequence.view.slide(&mut self.cache);
                }
                Err(error) => sequence.fail(error),
            }
        }
        self.end_finished();
    }

    fn set_preempted_aside(&mut self) {
        for sequence in self.running.extract_if(.., |sequence| sequence.is_preempted) {
            self.preempted.push_back(sequence);
        }
        for sequence in &mut self.preempted {
            sequence.is_preempted = false;
        }
        self.preempted.make_contiguous().sort_by_key(|sequence| sequence.number);
    }

    /// Nothing could be planned: the oldest has all memory to itself but for what is on its way to disk and what is
    /// kept for others. If that changes nothing, it is not enough.
    fn fail_oldest(&mut self) {
        if self.disk.as_mut().is_some_and(Disk::wait_for_write) || self.cache.give_up_current() {
            return;
        }
        if let Some(oldest) = self.running.first_mut() {
            let n_tokens = oldest.tokens.len();
            oldest.fail(self.limits.kv_full(n_tokens));
        }
        self.end_finished();
    }

    fn end_finished(&mut self) {
        for mut sequence in self.running.extract_if(.., |sequence| sequence.finish.is_some()) {
            sequence.view.release(&mut self.cache);
            sequence.leave_to(&mut self.said);
            if let Some(finish) = sequence.finish.take() {
                sequence.end(finish);
            }
        }
    }
}

/// Keeps a sequence's prefix for other sequences and processes as soon as it is computed.
fn keep_prefix(cache: &mut KvCache, disk: Option<&mut Disk>, sequence: &mut Sequence) {
    let (view, n_blocks) = (&sequence.view, sequence.n_prefix / BLOCK_LEN);
    if sequence.n_prefix == 0 || view.n_shared() < n_blocks {
        return;
    }
    view.expect_others(cache, n_blocks);
    if let Some(disk) = disk {
        disk.keep(cache, view, &sequence.tokens[..sequence.n_prefix]);
    }
    sequence.n_prefix = 0;
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::{Mutex, mpsc};

    use kernels::{Arithmetic, Kernels, Pool};
    use model::forward::{Forward, Logits};
    use model::kv::KvShape;
    use model::{Model, ModelError};

    use super::*;
    use crate::engine::Engine;
    use crate::guide::{Guide, Next};
    use crate::request::Request;
    use crate::settings::EngineSettings;

    /// A network that notes of each step how many sequences and tokens it computes.
    struct Watched {
        forward: Forward,
        steps: Arc<Mutex<Vec<Step>>>,
    }

    #[derive(Clone, Copy, Debug)]
    struct Step {
        n_sequences: usize,
        n_tokens: usize,
    }

    impl Network for Watched {
        fn run(&mut self, segments: &mut [Segment<'_>]) -> Result<Logits, ModelError> {
            let n_tokens = segments.iter().map(|segment| segment.tokens.len()).sum();
            let step = Step { n_sequences: segments.len(), n_tokens };
            self.steps.lock().expect("nobody panics").push(step);
            self.forward.run(segments)
        }
    }

    /// Says ten tokens over and over.
    struct Repeat {
        first: u32,
        n_said: u32,
    }

    impl Guide for Repeat {
        fn next(&mut self) -> Next {
            let only = self.first + self.n_said % 10;
            Next::Forbid((0..512).filter(|&token| token != only).collect())
        }

        fn accept(&mut self, _token: u32) {
            self.n_said += 1;
        }
    }

    /// The steps of some requests, all of which end after `max_tokens`. Calls `submitted` when the engine has them all.
    fn steps(
        requests: Vec<Request>,
        settings: &EngineSettings,
        submitted: impl FnOnce(),
    ) -> Vec<Step> {
        let forward = Forward::new(model(), Kernels::detect(), Pool::new(1), Arithmetic::Exact);
        let steps = Arc::default();
        let network = Watched { forward, steps: Arc::clone(&steps) };
        let engine = Engine::start_on(model(), settings, network).expect("the settings hold");
        let submit = |request| engine.submit(request).expect("sound");
        let replies: Vec<_> = requests.into_iter().map(submit).collect();
        submitted();
        replies.into_iter().for_each(|reply| {
            assert!(matches!(reply.wait().finish, Finish::MaxTokens));
        });
        drop(engine);
        Arc::into_inner(steps).expect("the engine is gone").into_inner().expect("whole")
    }

    fn model() -> Arc<Model> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/tiny-a");
        Arc::new(Model::open(&dir).expect("the fixture is a checkpoint"))
    }

    /// Its prompt and its reply repeat themselves.
    fn repeating(first: u32) -> Request {
        let guide = Repeat { first, n_said: 0 };
        Request {
            guide: Some(Box::new(guide)),
            ..Request::new((0..40).map(|at| first + at % 10).collect(), 60)
        }
    }

    /// Keeps the engine from its first step until all requests are there.
    struct Gate(mpsc::Receiver<()>);

    impl Guide for Gate {
        fn next(&mut self) -> Next {
            let _ = self.0.recv();
            Next::Free
        }

        fn accept(&mut self, _token: u32) {}
    }

    /// Sliding layers see eight positions back, so a sequence of sixteen blocks keeps their part of two.
    #[test]
    fn memory_of_four_whole_sequences_serves_seven() {
        let request = |first: u32| Request::new((0..480).map(|at| first + at % 97).collect(), 32);
        let (all_are_there, gate) = mpsc::channel();
        let mut requests: Vec<Request> = (0..14).map(|at| request(at * 20)).collect();
        requests[0].guide = Some(Box::new(Gate(gate)));
        let settings = EngineSettings {
            kv_bytes: 4 * 16 * KvShape::of(model().config()).block_bytes(),
            max_batch_tokens: 200,
            guess_batch_tokens: 0,
            ..EngineSettings::default()
        };
        let steps = steps(requests, &settings, || drop(all_are_there));
        assert_eq!(steps.iter().map(|step| step.n_sequences).max(), Some(7));
        // Nobody was admitted who had to leave again: every prompt and reply was computed once.
        let n_tokens: usize = steps.iter().map(|step| step.n_tokens).sum();
        assert_eq!(n_tokens, 14 * (480 + 31));
    }

    #[test]
    fn guesses_fill_small_steps_and_no_others() {
        let settings = EngineSettings { kv_bytes: 64 << 20, ..EngineSettings::default() };
        let with = |n, guess_batch_tokens, max_batch_tokens| {
            let settings =
                EngineSettings { guess_batch_tokens, max_batch_tokens, ..settings.clone() };
            let requests = (0..n).map(|at| repeating(at * 20)).collect();
            let steps = steps(requests, &settings, || ());
            steps.iter().map(|step| step.n_tokens).collect::<Vec<_>>()
        };
        for n in [1, 3] {
            let guessed = with(n, 6, 512);
            assert!(guessed.len() < with(n, 0, 512).len(), "{n} requests");
            // The prompts are 40 tokens each.
            assert!(guessed.iter().all(|&n_tokens| n_tokens <= 6 || n_tokens >= 40), "{guessed:?}");
            // The limit of all steps holds for guesses too.
            assert!(with(n, 20, 4).iter().all(|&n_tokens| n_tokens <= 4));
        }
        let busy = with(7, 6, 512);
        assert_eq!(busy.iter().filter(|&&n_tokens| n_tokens > 7).sum::<usize>(), 280, "{busy:?}");
    }
}
