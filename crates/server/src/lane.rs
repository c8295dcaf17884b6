//! What waits in one class, shared fairly between keys: deficit round robin.
//!
//! Every key has a queue of its own, and they are served in turns. A turn gives a key credit; what a thing costs
//! is taken from it. So who sends much waits behind itself, and who sends little waits about one turn.

use std::collections::{HashMap, VecDeque};

use store::KeyId;

/// Credit of one turn, in the same measure as costs: enough for one verdict on a short text.
const TURN: usize = VERDICT;
/// What a verdict costs before its content is looked at: a prompt is read and reasoning written even for a word.
const VERDICT: usize = 1024;

/// What a verdict on so many bytes costs.
pub(crate) fn cost(n_bytes: usize) -> usize {
    VERDICT.saturating_add(n_bytes / 4)
}

/// Whose share it is; callers without a key share one.
pub(crate) type Share = Option<KeyId>;

/// The queue of one class.
#[derive(Debug)]
pub(crate) struct Lane<T> {
    shares: HashMap<Share, Waiting<T>>,
    /// Keys that have something waiting, in the order of their turns.
    turns: VecDeque<Share>,
    len: usize,
}

#[derive(Debug)]
struct Waiting<T> {
    things: VecDeque<(usize, T)>,
    credit: usize,
}

impl<T> Default for Lane<T> {
    fn default() -> Lane<T> {
        Lane { shares: HashMap::new(), turns: VecDeque::new(), len: 0 }
    }
}

impl<T> Lane<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many of these wait.
    pub(crate) fn len_of(&self, share: &Share) -> usize {
        self.shares.get(share).map_or(0, |waiting| waiting.things.len())
    }

    /// How many keys have something waiting once this one has.
    pub(crate) fn n_shares_with(&self, share: &Share) -> usize {
        self.shares.len() + usize::from(!self.shares.contains_key(share))
    }

    /// About how many are served before a new one of this key: its own, and of every other key as many.
    pub(crate) fn n_before(&self, share: &Share) -> usize {
        let own = self.len_of(share);
        let others = self.shares.iter().filter(|(other, _)| *other != share);
        own + others.map(|(_, waiting)| waiting.things.len().min(own + 1)).sum::<usize>()
    }

    /// Puts one at the end of its key's queue.
    pub(crate) fn push(&mut self, share: Share, cost: usize, thing: T) {
        let waiting = self.shares.entry(share.clone()).or_insert_with(|| {
            self.turns.push_back(share);
            Waiting { things: VecDeque::new(), credit: 0 }
        });
        waiting.things.push_back((cost, thing));
        self.len += 1;
    }

    /// The next one.
    pub(crate) fn pop(&mut self) -> Option<T> {
        loop {
            let share = self.turns.front()?;
            let waiting = self.shares.get_mut(share).expect("who has a turn has a queue");
            let cost = waiting.things.front().map_or(0, |(cost, _)| *cost);
            if waiting.credit < cost {
                waiting.credit += TURN;
                self.turns.rotate_left(1);
                continue;
            }
            waiting.credit -= cost;
            let (_, thing) = waiting.things.pop_front().expect("no queue is empty");
            self.len -= 1;
            if waiting.things.is_empty() {
                // Credit is for those who wait.
                let share = self.turns.pop_front().expect("it was looked at above");
                self.shares.remove(&share);
            }
            return Some(thing);
        }
    }

    /// Takes out all that do not hold.
    pub(crate) fn retain(&mut self, holds: impl Fn(&T) -> bool) {
        self.shares.retain(|_, waiting| {
            waiting.things.retain(|(_, thing)| holds(thing));
            !waiting.things.is_empty()
        });
        self.turns.retain(|share| self.shares.contains_key(share));
        self.len = self.shares.values().map(|waiting| waiting.things.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use store::Millis;

    use super::*;

    fn key(n: i64) -> Share {
        Some(KeyId::new(Millis(n)).unwrap())
    }

    /// What comes out, until nothing does.
    fn drain(lane: &mut Lane<&'static str>) -> String {
        std::iter::from_fn(|| lane.pop()).collect()
    }

    #[test]
    fn a_flood_waits_behind_itself() {
        let (mut lane, flood, other) = (Lane::default(), key(1), key(2));
        for _ in 0..6 {
            lane.push(flood.clone(), cost(0), "a");
        }
        assert_eq!((lane.n_before(&flood), lane.n_before(&other)), (6, 1));
        assert_eq!(lane.pop(), Some("a"));
        for _ in 0..2 {
            lane.push(other.clone(), cost(0), "b");
        }
        assert_eq!(lane.len(), 7);
        let served = drain(&mut lane);
        assert_eq!(served.len(), 7);
        assert!(served.rfind('b').unwrap() <= 4, "{served}");
    }

    #[test]
    fn large_items_take_as_much_of_a_share_as_they_cost() {
        let (mut lane, large, small) = (Lane::default(), key(1), key(2));
        for _ in 0..20 {
            lane.push(large.clone(), cost(12 * VERDICT), "L");
            lane.push(small.clone(), cost(0), "s");
        }
        let served = drain(&mut lane);
        let first = &served[..served.len() / 2];
        let n_large = first.matches('L').count();
        // One of them costs four of the others.
        assert!((3..=5).contains(&n_large), "{served}");
    }

    #[test]
    fn what_is_taken_back_leaves_no_trace() {
        let mut lane = Lane::default();
        lane.push(key(1), cost(0), "a");
        lane.push(key(2), cost(0), "b");
        lane.retain(|thing| *thing == "b");
        assert_eq!((lane.len(), drain(&mut lane)), (1, "b".to_owned()));
        assert!(lane.pop().is_none() && lane.shares.is_empty() && lane.turns.is_empty());
    }
}
