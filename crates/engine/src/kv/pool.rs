//! Blocks up to a limit: lent, given back, shared, evicted.

use std::sync::Arc;

use model::kv::{BLOCK_LEN, KvBlock};

use super::tree::{ROOT, Tree};

/// All blocks of one engine.
pub(crate) struct KvCache {
    pub(super) tree: Tree<KvBlock>,
    /// Blocks that hold nothing of use, kept for the next borrower.
    free: Vec<Arc<KvBlock>>,
    /// Blocks in memory, wherever they are.
    n_made: usize,
    n_max: usize,
    make: Box<dyn Fn() -> KvBlock + Send>,
}

impl KvCache {
    /// Holds at most `n_max` blocks, made by `make` when they are first needed.
    pub(crate) fn new(n_max: usize, make: impl Fn() -> KvBlock + Send + 'static) -> KvCache {
        KvCache { tree: Tree::new(), free: Vec::new(), n_made: 0, n_max, make: Box::new(make) }
    }

    /// Blocks that could be lent now, cached ones that nobody uses included.
    pub(crate) fn n_available(&self) -> usize {
        self.n_max - self.n_made + self.free.len() + self.tree.n_unused()
    }

    /// How many blocks of the sequence `tokens` are cached, and how many of these nobody uses now.
    pub(crate) fn n_cached(&self, tokens: &[u32]) -> (usize, usize) {
        let mut at = ROOT;
        let (mut n_cached, mut n_unused) = (0, 0);
        for block_tokens in tokens.chunks_exact(BLOCK_LEN) {
            let Some((node, _)) = self.tree.child(at, block_tokens) else { break };
            at = node;
            n_cached += 1;
            n_unused += usize::from(self.tree.is_unused(node));
        }
        (n_cached, n_unused)
    }

    /// A block that nobody else holds, if the limit allows one.
    pub(super) fn lend(&mut self) -> Option<Arc<KvBlock>> {
        if let Some(block) = self.free.pop() {
            return Some(block);
        }
        if self.n_made < self.n_max {
            self.n_made += 1;
            return Some(Arc::new((self.make)()));
        }
        self.tree.evict()
    }

    /// The end of a borrowing. A block that the tree or another sequence holds lives on.
    pub(super) fn give_back(&mut self, block: Arc<KvBlock>) {
        if Arc::strong_count(&block) == 1 {
            self.free.push(block);
        }
    }
}
