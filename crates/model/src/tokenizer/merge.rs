//! Byte-pair merging: the pair with the lowest rank first, the leftmost of equals.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// Which neighbours may be joined, and in which order.
pub(super) enum Merges {
    /// The list of `tokenizer.json`: pair to (rank, joined token).
    Listed(HashMap<(u32, u32), (u32, u32)>),
    /// Any pair whose bytes are a token; its id is its rank (tiktoken's vocabularies).
    ByBytes,
}

/// What merging needs to look up.
pub(super) trait Vocabulary {
    /// The token with these bytes.
    fn token(&self, bytes: &[u8]) -> Option<u32>;
    /// Which pairs join.
    fn merges(&self) -> &Merges;
}

/// A run of bytes that is one token so far. Runs are linked, so that joining is cheap.
#[derive(Clone, Copy)]
struct Part {
    token: u32,
    start: usize,
    end: usize,
    before: usize,
    after: usize,
}

const NONE: usize = usize::MAX;

/// Appends the tokens of `piece` to `out`; `n log n` in its length.
pub(super) fn merge(
    vocabulary: &impl Vocabulary,
    single: &[u32; 256],
    piece: &[u8],
    out: &mut Vec<u32>,
) {
    let mut parts: Vec<Part> = piece
        .iter()
        .enumerate()
        .map(|(at, &byte)| Part {
            token: single[usize::from(byte)],
            start: at,
            end: at + 1,
            before: at.checked_sub(1).unwrap_or(NONE),
            after: if at + 1 < piece.len() { at + 1 } else { NONE },
        })
        .collect();
    let mut queue = BinaryHeap::new();
    for left in 0..parts.len() {
        offer(vocabulary, piece, &parts, left, &mut queue);
    }
    while let Some(Reverse((_, left, joined, end))) = queue.pop() {
        let part = parts[left];
        // A candidate is stale when either side has grown since.
        let is_current = part.token != GONE && part.after != NONE && parts[part.after].end == end;
        if !is_current
            || joined_token(vocabulary, piece, &parts, left)
                .is_none_or(|(_, token)| token != joined)
        {
            continue;
        }
        let right = parts[part.after];
        parts[part.after].token = GONE;
        parts[left] = Part { token: joined, end: right.end, after: right.after, ..part };
        if right.after != NONE {
            parts[right.after].before = left;
            offer(vocabulary, piece, &parts, left, &mut queue);
        }
        if part.before != NONE {
            offer(vocabulary, piece, &parts, part.before, &mut queue);
        }
    }
    out.extend(parts.iter().map(|part| part.token).filter(|&token| token != GONE));
}

/// Marks a part that was joined to the one before it.
const GONE: u32 = u32::MAX;

type Candidate = Reverse<(u32, usize, u32, usize)>;

fn offer(
    vocabulary: &impl Vocabulary,
    piece: &[u8],
    parts: &[Part],
    left: usize,
    queue: &mut BinaryHeap<Candidate>,
) {
    if let Some((rank, token)) = joined_token(vocabulary, piece, parts, left) {
        queue.push(Reverse((rank, left, token, parts[parts[left].after].end)));
    }
}

fn joined_token(
    vocabulary: &impl Vocabulary,
    piece: &[u8],
    parts: &[Part],
    left: usize,
) -> Option<(u32, u32)> {
    let part = parts[left];
    let right = parts.get(part.after)?;
    match vocabulary.merges() {
        Merges::Listed(pairs) => pairs.get(&(part.token, right.token)).copied(),
        Merges::ByBytes => {
            vocabulary.token(&piece[part.start..right.end]).map(|token| (token, token))
        }
    }
}
