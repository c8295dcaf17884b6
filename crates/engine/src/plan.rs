//! What one step computes: a share of `max_batch_tokens` for each running sequence, guesses where that leaves the step
//! small, and the blocks to hold it.

use model::kv::BLOCK_LEN;

use crate::kv::KvCache;
use crate::said::Said;
use crate::sequence::Sequence;
use crate::settings::Limits;

/// Sets `n_step` of every running sequence, which are in order of submission. Sequences that are
/// being continued go first, one token each, then prompts, each oldest first.
///
/// Where blocks run out, the youngest sequences lose theirs and are marked `is_preempted`. If
/// nothing at all is planned, the oldest cannot be computed even alone.
pub(crate) fn plan(running: &mut [Sequence], cache: &mut KvCache, said: &Said, limits: &Limits) {
    for sequence in running.iter_mut() {
        sequence.n_step = 0;
        sequence.draft.clear();
    }
    plan_pending(running, cache, limits.max_batch_tokens);
    plan_guesses(running, cache, said, limits);
}

fn plan_pending(running: &mut [Sequence], cache: &mut KvCache, max_batch_tokens: usize) {
    let (continued, prompts): (Vec<usize>, Vec<usize>) =
        (0..running.len()).partition(|&idx| running[idx].n_pending() == 1);
    let mut n_left = max_batch_tokens;
    for idx in continued.into_iter().chain(prompts) {
        if n_left == 0 {
            return;
        }
        if running[idx].is_preempted {
            continue;
        }
        adopt(&mut running[idx], cache);
        if waits_for_neighbour(running, idx) {
            continue;
        }
        let n_wanted = running[idx].n_pending().min(n_left);
        let n_step = reserve(running, idx, cache, n_wanted);
        running[idx].n_step = n_step;
        n_left -= n_step;
    }
}

/// Fills a small step with guesses, shared out evenly, as far as blocks for them can be had without taking any from a
/// sequence.
fn plan_guesses(running: &mut [Sequence], cache: &mut KvCache, said: &Said, limits: &Limits) {
    let n_planned: usize = running.iter().map(|sequence| sequence.n_step).sum();
    // In a larger step a token costs less than one that is guessed wrong.
    if n_planned > limits.guess_batch_tokens / 2 {
        return;
    }
    let mut n_left = limits.guess_batch_tokens - n_planned;
    let mut n_guessing = running.iter().filter(|sequence| sequence.may_guess()).count();
    for sequence in running.iter_mut().filter(|sequence| sequence.may_guess()) {
        n_left -= sequence.guess(n_left.div_ceil(n_guessing), cache, said, limits);
        n_guessing -= 1;
    }
}

fn adopt(sequence: &mut Sequence, cache: &mut KvCache) {
    let n_adopted = sequence.view.adopt(cache, &sequence.tokens);
    if !sequence.was_preempted {
        sequence.n_cached += n_adopted;
    }
}

/// Whether a sequence planned already computes the very block that this one needs next. Waiting a
/// step, this one can adopt it: many items under one policy that arrive together compute the policy
/// once.
fn waits_for_neighbour(running: &[Sequence], idx: usize) -> bool {
    let sequence = &running[idx];
    let start = sequence.view.table.len;
    let end = start + BLOCK_LEN;
    if !start.is_multiple_of(BLOCK_LEN) || end >= sequence.tokens.len() {
        return false;
    }
    running.iter().any(|other| {
        let computed = other.view.table.len;
        other.n_step > 0
            && computed <= start
            && computed + other.n_step >= end
            && other.tokens[..end] == sequence.tokens[..end]
    })
}

/// Blocks for up to `n_wanted` tokens of one sequence, taken from younger ones if need be; returns
/// for how many tokens there are.
fn reserve(running: &mut [Sequence], idx: usize, cache: &mut KvCache, n_wanted: usize) -> usize {
    loop {
        let n_room = running[idx].view.reserve(cache, n_wanted);
        if n_room == n_wanted {
            return n_room;
        }
        let younger = running[idx + 1..].iter_mut().rev();
        let mut losers = younger.filter(|other| other.n_step == 0 && other.view.holds_blocks());
        let Some(loser) = losers.next() else { return n_room };
        loser.view.release(cache);
        loser.is_preempted = true;
        loser.was_preempted = true;
    }
}
