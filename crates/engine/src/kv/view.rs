//! What one sequence holds of the cache: the blocks it reads, and how many of them are shared.

use std::sync::Arc;

use model::kv::{BLOCK_LEN, KvTable};

use super::pool::KvCache;
use super::tree::{NodeId, ROOT};

/// One sequence's blocks. Give it back with [`View::release`].
pub(crate) struct View {
    /// What the forward pass reads and extends.
    pub(crate) table: KvTable,
    /// The first blocks of the table, all in the tree: never written again.
    n_shared: usize,
    /// The tree's node of the last of them.
    node: NodeId,
}

impl View {
    pub(crate) fn new() -> View {
        View { table: KvTable { blocks: Vec::new(), len: 0 }, n_shared: 0, node: ROOT }
    }

    /// Continues with cached blocks as far as they spell `tokens`, the whole sequence; returns how
    /// many positions that spared. The last token is always left to be computed, since its logits
    /// are wanted.
    pub(crate) fn adopt(&mut self, cache: &mut KvCache, tokens: &[u32]) -> usize {
        let start = self.table.len;
        while self.table.len == self.n_shared * BLOCK_LEN
            && self.table.len + BLOCK_LEN < tokens.len()
        {
            let next = &tokens[self.table.len..self.table.len + BLOCK_LEN];
            let Some((node, block)) = cache.tree.child(self.node, next) else { break };
            let block = Arc::clone(block);
            cache.tree.hold(node);
            // Empty blocks that were lent in advance are not needed any more.
            for unused in self.table.blocks.drain(self.n_shared..) {
                cache.give_back(unused);
            }
            self.table.blocks.push(block);
            self.table.len += BLOCK_LEN;
            self.n_shared += 1;
            self.node = node;
        }
        if self.table.len > start {
            cache.tree.touch(self.node);
        }
        self.table.len - start
    }

    /// Borrows blocks for `n_tokens` more positions; returns for how many there is room now.
    pub(crate) fn reserve(&mut self, cache: &mut KvCache, n_tokens: usize) -> usize {
        let wanted = (self.table.len + n_tokens).div_ceil(BLOCK_LEN);
        while self.table.blocks.len() < wanted {
            let Some(block) = cache.lend() else { break };
            self.table.blocks.push(block);
        }
        n_tokens.min(self.table.blocks.len() * BLOCK_LEN - self.table.len)
    }

    /// Shares the blocks that have become full; `tokens` is the whole sequence. Where another
    /// sequence was first with the same tokens, its block takes the place of ours: the same bits.
    pub(crate) fn publish(&mut self, cache: &mut KvCache, tokens: &[u32]) {
        while (self.n_shared + 1) * BLOCK_LEN <= self.table.len {
            let block_tokens = &tokens[self.n_shared * BLOCK_LEN..(self.n_shared + 1) * BLOCK_LEN];
            let own = &mut self.table.blocks[self.n_shared];
            if let Some((node, block)) = cache.tree.child(self.node, block_tokens) {
                let spare = std::mem::replace(own, Arc::clone(block));
                cache.tree.hold(node);
                self.node = node;
                cache.give_back(spare);
            } else {
                self.node = cache.tree.insert(self.node, block_tokens, Arc::clone(own));
            }
            self.n_shared += 1;
        }
    }

    /// Gives everything back; the shared blocks stay cached until their memory is needed.
    pub(crate) fn release(&mut self, cache: &mut KvCache) {
        cache.tree.let_go(self.node);
        let view = std::mem::replace(self, View::new());
        for block in view.table.blocks {
            cache.give_back(block);
        }
    }

    /// The first blocks, all full and in the tree.
    pub(crate) fn n_shared(&self) -> usize {
        self.n_shared
    }

    /// Whether releasing would give anything back.
    pub(crate) fn holds_blocks(&self) -> bool {
        !self.table.blocks.is_empty()
    }

    /// Blocks that `n_tokens` need beyond those held.
    pub(crate) fn n_missing(&self, n_tokens: usize) -> usize {
        n_tokens.div_ceil(BLOCK_LEN).saturating_sub(self.table.blocks.len())
    }
}
