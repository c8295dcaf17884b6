//! Byte-pair merging: the pair with the lowest rank first, the leftmost of equals.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::hash::BuildPairHasher;
use super::words::Words;

/// Which neighbours may be joined, and in which order.
pub(super) enum Merges {
    /// The list of `tokenizer.json`: pair to (rank, joined token).
    Listed(HashMap<(u32, u32), (u32, u32), BuildPairHasher>),
    /// Any pair whose bytes are a token; its id is its rank (tiktoken's vocabularies).
    ByBytes,
}

impl Merges {
    /// Rank and token of a pair that spells `bytes`, if it may be joined.
    fn joined(&self, words: &Words, pair: (u32, u32), bytes: &[u8]) -> Option<(u32, u32)> {
        match self {
            Merges::Listed(pairs) => pairs.get(&pair).copied(),
            Merges::ByBytes => words.find(bytes).map(|token| (token, token)),
        }
    }
}

/// A run of bytes that is one token so far. It stands at the index of its first byte, and the parts
/// between that and the next one's index are no longer in use.
#[derive(Clone, Copy)]
struct Part {
    token: u32,
    /// Where the part before starts; its own index for the first one.
    before: usize,
    /// Where the part after starts: also where this one's bytes end.
    after: usize,
    /// Rank and token of joining it with the part after, if they may be joined.
    joined: Option<(u32, u32)>,
}

/// One piece of text on its way to tokens; `n log n` in its length.
pub(super) struct Merging<'a> {
    merges: &'a Merges,
    words: &'a Words,
    piece: &'a [u8],
    parts: Vec<Part>,
    /// Ranks and places of what may be joined. What has changed since it was put in is passed over.
    queue: BinaryHeap<Reverse<(u32, usize)>>,
}

impl<'a> Merging<'a> {
    /// Starts with one part a byte, each being the token of `single`.
    pub(super) fn new(
        merges: &'a Merges,
        words: &'a Words,
        single: &[u32; 256],
        piece: &'a [u8],
    ) -> Merging<'a> {
        let part = |(at, &byte): (usize, &u8)| Part {
            token: single[usize::from(byte)],
            before: at.saturating_sub(1),
            after: at + 1,
            joined: None,
        };
        let parts = piece.iter().enumerate().map(part).collect();
        Merging { merges, words, piece, parts, queue: BinaryHeap::with_capacity(piece.len()) }
    }

    /// Joins until nothing joins any more, and appends the tokens to `out`.
    pub(super) fn run(mut self, out: &mut Vec<u32>) {
        for left in 0..self.parts.len() {
            self.offer(left);
        }
        while let Some(Reverse((rank, left))) = self.queue.pop() {
            match self.parts[left].joined {
                Some((current, token)) if current == rank => self.join(left, token),
                _ => {}
            }
        }
        let mut at = 0;
        while let Some(part) = self.parts.get(at) {
            out.push(part.token);
            at = part.after;
        }
    }

    /// Finds out whether a part and the one after it may be joined.
    fn offer(&mut self, left: usize) {
        let part = self.parts[left];
        let joined = self.parts.get(part.after).and_then(|right| {
            let bytes = &self.piece[left..right.after];
            self.merges.joined(self.words, (part.token, right.token), bytes)
        });
        self.parts[left].joined = joined;
        if let Some((rank, _)) = joined {
            self.queue.push(Reverse((rank, left)));
        }
    }

    fn join(&mut self, left: usize, token: u32) {
        let part = self.parts[left];
        let right = &mut self.parts[part.after];
        right.joined = None;
        let after = right.after;
        self.parts[left] = Part { token, after, ..part };
        if let Some(next) = self.parts.get_mut(after) {
            next.before = left;
        }
        self.offer(left);
        if part.before != left {
            self.offer(part.before);
        }
    }
}
