//! Cells up to a limit: lent, given back, shared, evicted.

use std::ops::Add;
use std::sync::Arc;

use model::kv::{BLOCK_LEN, KvCells, KvShape, Layers};

use super::amount::{Amount, Need, window_behind};
use super::tree::{NodeId, ROOT, Tree};

/// All keys and values of one engine.
pub(crate) struct KvCache {
    pub(super) tree: Tree<KvCells>,
    pub(super) shape: KvShape,
    /// Cells that hold nothing of use, kept for the next borrower. Where both kinds are of one size, they serve either.
    free: Vec<Arc<KvCells>>,
    /// Bytes of all cells in memory, wherever they are.
    made_bytes: usize,
    max_bytes: usize,
}

impl KvCache {
    /// Holds at most `max_bytes`, made when they are first needed.
    pub(crate) fn new(max_bytes: usize, shape: KvShape) -> KvCache {
        KvCache { tree: Tree::new(), shape, free: Vec::new(), made_bytes: 0, max_bytes }
    }

    /// Bytes that could be lent now, cached ones that nobody uses included, but for wanted ones that a running sequence
    /// came through.
    pub(crate) fn available_bytes(&self) -> usize {
        let free: usize = self.free.iter().map(|cells| cells.n_bytes()).sum();
        self.max_bytes - self.made_bytes + free + self.tree.unused().bytes(&self.shape)
    }

    /// What a sequence that begins needs of what is available: what it would compute, and what it would adopt that
    /// nobody uses now. The window behind its first `n_prefix` tokens is yet to be wanted.
    pub(crate) fn need(&self, tokens: &[u32], n_prefix: usize) -> Need {
        let chain = self.chain(ROOT, 0, before_last(tokens));
        let (n_cached, n_blocks) = (chain.len(), tokens.len().div_ceil(BLOCK_LEN));
        let first_seen = self.shape.first_seen(n_cached * BLOCK_LEN);
        let window = window_behind(&self.shape, n_prefix / BLOCK_LEN);
        let mut are_wanted =
            self.are_wanted(chain.last().copied().unwrap_or(ROOT), &tokens[n_cached * BLOCK_LEN..]);
        let stays = |at: &usize| are_wanted.next() == Some(true) || window.contains(at);
        let n_staying = (n_cached..n_blocks).filter(stays).count();
        // The window of the place where it begins is wanted from then on, so it stays too.
        let held = Amount { n_full: n_cached, n_sliding: 0 };
        let need = Need::of(&self.shape, n_blocks, n_blocks - n_cached - n_staying, held)
            .and_staying(n_staying);
        let taken = chain.into_iter().enumerate().map(|(at, node)| {
            self.tree.taken_by_holding(node, at >= first_seen || window.contains(&at))
        });
        Need { least: taken.fold(need.least, Amount::add), ..need }
    }

    /// Of the blocks of `tokens` behind `at`, as far as the tree has them, whether their sliding parts are wanted: even
    /// where these are gone, they stay once they are computed anew.
    pub(super) fn are_wanted(&self, mut at: NodeId, tokens: &[u32]) -> impl Iterator<Item = bool> {
        let is_wanted = move |block_tokens: &[u32]| {
            at = self.tree.child(at, block_tokens)?;
            Some(self.tree.is_sliding_wanted(at))
        };
        tokens.chunks_exact(BLOCK_LEN).map_while(is_wanted).fuse()
    }

    /// Makes available what is kept because it is wanted; returns whether there was any.
    pub(crate) fn give_up_wanted(&mut self) -> bool {
        self.tree.give_up_wanted()
    }

    /// Whether a sequence could continue the cached prefix `tokens`, a whole number of blocks.
    pub(super) fn has_prefix(&self, tokens: &[u32]) -> bool {
        self.chain(ROOT, 0, tokens).len() * BLOCK_LEN == tokens.len()
    }

    /// The cached blocks of `tokens` behind `at`, which ends `n_before` blocks and has all that is seen from there: as
    /// many as leave a sequence behind the last of them with all that it sees.
    pub(super) fn chain(&self, at: NodeId, n_before: usize, tokens: &[u32]) -> Vec<NodeId> {
        let mut chain = Vec::new();
        let (mut at, mut n_adoptable) = (at, 0);
        // The sliding parts from here on are there.
        let mut start = self.shape.first_seen(n_before * BLOCK_LEN).min(n_before);
        for block_tokens in tokens.chunks_exact(BLOCK_LEN) {
            let Some(node) = self.tree.child(at, block_tokens) else { break };
            chain.push(node);
            let end = n_before + chain.len();
            if self.tree.sliding(node).is_none() {
                start = end;
            }
            if start <= self.shape.first_seen(end * BLOCK_LEN) {
                n_adoptable = chain.len();
            }
            at = node;
        }
        chain.truncate(n_adoptable);
        chain
    }

    /// Cells that nobody else holds, if the limit allows them.
    pub(super) fn lend(&mut self, layers: Layers) -> Option<Arc<KvCells>> {
        let n_bytes = self.shape.cells_bytes(layers);
        loop {
            if let Some(at) = self.free.iter().rposition(|cells| cells.n_bytes() == n_bytes) {
                return Some(self.free.swap_remove(at));
            }
            if self.made_bytes + n_bytes <= self.max_bytes {
                self.made_bytes += n_bytes;
                return Some(Arc::new(self.shape.cells(layers)));
            }
            match self.free.pop() {
                // Of the other size, so its memory serves as this one's.
                Some(cells) => self.made_bytes -= cells.n_bytes(),
                None => self.free.push(self.tree.evict()?),
            }
        }
    }

    /// The end of a borrowing. Cells that the tree or another sequence holds live on.
    pub(super) fn give_back(&mut self, cells: Arc<KvCells>) {
        if Arc::strong_count(&cells) == 1 {
            self.free.push(cells);
        }
    }
}

/// What of a sequence's tokens may come from the cache: the last is always computed, since its logits are wanted.
pub(super) fn before_last(tokens: &[u32]) -> &[u32] {
    &tokens[..tokens.len().saturating_sub(1)]
}
