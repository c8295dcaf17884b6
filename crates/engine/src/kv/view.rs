//! What one sequence holds of the cache: the blocks it reads, and which of them are shared.

use std::iter::repeat;
use std::sync::Arc;

use model::kv::{BLOCK_LEN, KvBlock, KvCells, KvShape, KvTable, Layers};

use super::amount::{Amount, Need, window_behind};
use super::pool::{KvCache, before_last};
use super::tree::{NodeId, ROOT};

/// One sequence's blocks. Give it back with [`View::release`].
pub(crate) struct View {
    /// What the forward pass reads and extends.
    pub(crate) table: KvTable,
    /// The tree's nodes of the first blocks of the table, which are never written again.
    nodes: Vec<NodeId>,
}

impl View {
    pub(crate) fn new() -> View {
        View::behind(0)
    }

    /// A view behind `n_tokens`, a whole number of blocks, whose keys and values its owner will fill in.
    pub(super) fn behind(n_tokens: usize) -> View {
        View { table: KvTable { blocks: Vec::new(), len: n_tokens }, nodes: Vec::new() }
    }

    /// Continues with cached blocks as far as they spell `tokens`, the whole sequence, and lead to a place whose window
    /// is cached too; returns how many positions that spared.
    pub(crate) fn adopt(&mut self, cache: &mut KvCache, tokens: &[u32]) -> usize {
        let (start, n_shared) = (self.table.len, self.nodes.len());
        let rest = before_last(tokens).get(start..).unwrap_or_default();
        if start != n_shared * BLOCK_LEN || rest.len() < BLOCK_LEN {
            return 0;
        }
        let chain = cache.chain(self.node(), n_shared, rest);
        if chain.is_empty() {
            return 0;
        }
        // Empty blocks that were lent in advance are not needed any more.
        for unused in self.table.blocks.split_off(n_shared) {
            give_back(cache, unused);
        }
        self.table.len += chain.len() * BLOCK_LEN;
        self.slide(cache);
        chain.into_iter().for_each(|node| self.hold(cache, node));
        cache.tree.touch(self.node());
        self.table.len - start
    }

    /// Borrows blocks for `n_tokens` more positions; returns for how many there is room now.
    pub(crate) fn reserve(&mut self, cache: &mut KvCache, n_tokens: usize) -> usize {
        self.lend_blocks(cache, (self.table.len + n_tokens).div_ceil(BLOCK_LEN));
        n_tokens.min(self.table.blocks.len() * BLOCK_LEN - self.table.len)
    }

    /// Borrows until there are `n_blocks`; returns whether there are.
    pub(super) fn lend_blocks(&mut self, cache: &mut KvCache, n_blocks: usize) -> bool {
        let first_seen = cache.shape.first_seen(self.table.len);
        while self.table.blocks.len() < n_blocks {
            let Some(full) = cache.lend(Layers::Full) else { return false };
            let mut block = KvBlock { full, sliding: None };
            if self.table.blocks.len() >= first_seen {
                block.sliding = cache.lend(Layers::Sliding);
                if block.sliding.is_none() {
                    give_back(cache, block);
                    return false;
                }
            }
            self.table.blocks.push(block);
        }
        true
    }

    /// Shares the blocks that have become full; `tokens` is the whole sequence. Where another
    /// sequence was first with the same tokens, its block takes the place of ours: the same bits.
    pub(crate) fn publish(&mut self, cache: &mut KvCache, tokens: &[u32]) {
        while (self.nodes.len() + 1) * BLOCK_LEN <= self.table.len {
            let block_idx = self.nodes.len();
            let block_tokens = &tokens[block_idx * BLOCK_LEN..][..BLOCK_LEN];
            let node = self.publish_full(cache, block_idx, block_tokens);
            self.publish_sliding(cache, block_idx, node);
            self.nodes.push(node);
        }
    }

    /// Ends the borrowing of what sliding layers see no more from the next position on.
    pub(crate) fn slide(&mut self, cache: &mut KvCache) {
        let n_passed = cache.shape.first_seen(self.table.len).min(self.table.blocks.len());
        for block_idx in (0..n_passed).rev() {
            let Some(cells) = self.table.blocks[block_idx].sliding.take() else { break };
            if let Some(&node) = self.nodes.get(block_idx) {
                cache.tree.let_go_sliding(node);
            }
            cache.give_back(cells);
        }
    }

    /// Notes that what is seen from behind the first `n_blocks` blocks, which are shared, is wanted.
    pub(crate) fn want_window(&self, cache: &mut KvCache, n_blocks: usize) {
        for &node in self.seen_from(&cache.shape, n_blocks) {
            cache.tree.want_sliding(node);
        }
    }

    /// Gives everything back; the shared blocks stay cached until their memory is needed.
    pub(crate) fn release(&mut self, cache: &mut KvCache) {
        self.slide(cache);
        let view = std::mem::replace(self, View::new());
        // Where this one stopped, another may go on.
        view.want_window(cache, view.nodes.len());
        for (block_idx, block) in view.table.blocks.iter().enumerate() {
            if let (Some(_), Some(&node)) = (&block.sliding, view.nodes.get(block_idx)) {
                cache.tree.let_go_sliding(node);
            }
        }
        cache.tree.let_go(view.node());
        view.table.blocks.into_iter().for_each(|block| give_back(cache, block));
    }

    /// What continuing the first `n_blocks` blocks needs, which are shared: the full parts of all, then the sliding
    /// parts that are seen from there. `None` where not all of these are still cached.
    pub(super) fn prefix(&self, cache: &KvCache, n_blocks: usize) -> Option<Vec<Arc<KvCells>>> {
        let full = self.nodes[..n_blocks].iter().map(|&node| Some(cache.tree.full(node)));
        let seen = self.seen_from(&cache.shape, n_blocks).iter();
        full.chain(seen.map(|&node| cache.tree.sliding(node))).map(|cells| cells.cloned()).collect()
    }

    /// All cells that it has of its own: the full parts, then the sliding ones.
    pub(super) fn own_cells(&mut self) -> impl Iterator<Item = &mut KvCells> {
        let (full, sliding): (Vec<_>, Vec<_>) =
            self.table.blocks.iter_mut().map(|block| (&mut block.full, &mut block.sliding)).unzip();
        full.into_iter().chain(sliding.into_iter().flatten()).filter_map(Arc::get_mut)
    }

    /// The first blocks, all full and in the tree.
    pub(crate) fn n_shared(&self) -> usize {
        self.nodes.len()
    }

    /// Whether releasing would give anything back.
    pub(crate) fn holds_blocks(&self) -> bool {
        !self.table.blocks.is_empty()
    }

    /// What the sequence of `tokens` needs beyond what it holds. The window behind its first `n_prefix` tokens is yet to
    /// be wanted.
    pub(crate) fn need(&self, cache: &KvCache, tokens: &[u32], n_prefix: usize) -> Need {
        let (n_held, n_blocks) = (self.table.blocks.len(), tokens.len().div_ceil(BLOCK_LEN));
        let window = window_behind(&cache.shape, n_prefix / BLOCK_LEN);
        let are_wanted = self.nodes.iter().map(|&node| cache.tree.is_sliding_wanted(node));
        let are_wanted = are_wanted
            .chain(cache.are_wanted(self.node(), &tokens[self.nodes.len() * BLOCK_LEN..]))
            .chain(repeat(false));
        // What is wanted stays when this one has passed.
        let (staying, passing): (Vec<_>, Vec<_>) = (0..n_blocks)
            .zip(are_wanted)
            .skip(cache.shape.first_seen(self.table.len))
            .partition(|(block_idx, is_wanted)| *is_wanted || window.contains(block_idx));
        let n_sliding = passing.partition_point(|&(block_idx, _)| block_idx < n_held);
        let held = Amount { n_full: n_held, n_sliding };
        let n_staying =
            staying.len() - staying.partition_point(|&(block_idx, _)| block_idx < n_held);
        Need::of(&cache.shape, n_blocks, passing.len(), held).and_staying(n_staying)
    }

    /// The node of the last shared block.
    fn node(&self) -> NodeId {
        self.nodes.last().copied().unwrap_or(ROOT)
    }

    /// Those of the first `n_blocks` blocks that sliding layers see from behind them.
    fn seen_from(&self, shape: &KvShape, n_blocks: usize) -> &[NodeId] {
        &self.nodes[window_behind(shape, n_blocks)]
    }

    /// Continues with the block of a node, as far as it is seen from the end of what is adopted.
    fn hold(&mut self, cache: &mut KvCache, node: NodeId) {
        cache.tree.hold(node);
        let is_seen = self.nodes.len() >= cache.shape.first_seen(self.table.len);
        if is_seen {
            cache.tree.want_sliding(node);
            cache.tree.hold_sliding(node);
        }
        self.table.blocks.push(KvBlock {
            full: Arc::clone(cache.tree.full(node)),
            sliding: cache.tree.sliding(node).filter(|_| is_seen).cloned(),
        });
        self.nodes.push(node);
    }

    fn publish_full(&mut self, cache: &mut KvCache, block_idx: usize, tokens: &[u32]) -> NodeId {
        let at = self.node();
        let own = &mut self.table.blocks[block_idx].full;
        let Some(node) = cache.tree.child(at, tokens) else {
            return cache.tree.insert(at, tokens, Arc::clone(own));
        };
        cache.tree.hold(node);
        let spare = std::mem::replace(own, Arc::clone(cache.tree.full(node)));
        cache.give_back(spare);
        node
    }

    fn publish_sliding(&mut self, cache: &mut KvCache, block_idx: usize, node: NodeId) {
        let Some(own) = &mut self.table.blocks[block_idx].sliding else { return };
        if let Some(cells) = cache.tree.sliding(node) {
            let spare = std::mem::replace(own, Arc::clone(cells));
            cache.give_back(spare);
        } else {
            cache.tree.put_sliding(node, Arc::clone(own));
        }
        cache.tree.hold_sliding(node);
    }
}

fn give_back(cache: &mut KvCache, block: KvBlock) {
    cache.give_back(block.full);
    if let Some(cells) = block.sliding {
        cache.give_back(cells);
    }
}
