//! The engine's thread: which tokens are computed in which step.
//!
//! Every step is one forward pass over parts of many sequences: the one new token of those that are
//! being continued, and chunks of prompts, oldest first, up to `max_batch_tokens`; small steps also compute guesses at
//! what comes next (`guess.rs`). Nothing decided here changes a reply, only when it comes: a sequence's numbers do not
//! depend on its neighbours, on chunks, or on whether its prefix came from the cache. So a sequence can also lose its
//! memory to an older one and compute everything again later.

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
        let promised = self
            .running
            .iter()
            .map(|other| other.view.need(&self.cache, &other.tokens, other.n_prefix));
        let need: Need =
            promised.chain([self.cache.need(&sequence.tokens, sequence.n_prefix)]).sum();
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
    /// wanted. If that changes nothing, it is not enough.
    fn fail_oldest(&mut self) {
        if self.disk.as_mut().is_some_and(Disk::wait_for_write) || self.cache.give_up_wanted() {
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
    view.want_window(cache, n_blocks);
    if let Some(disk) = disk {
        disk.keep(cache, view, &sequence.tokens[..sequence.n_prefix]);
    }
    sequence.n_prefix = 0;
}

#[cfg(test)]
mod tests;
