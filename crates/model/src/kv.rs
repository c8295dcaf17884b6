//! The layout of cached keys and values that the forward pass reads and writes.
//!
//! Who owns, shares and evicts blocks is the engine's business; here a table is just a list.

use std::sync::Arc;

use kernels::Run;

use crate::config::Config;

/// Positions in a block.
pub const BLOCK_LEN: usize = 32;

/// Keys and values of [`BLOCK_LEN`] positions in every layer.
///
/// One run of floats `[n_layers, 2 (keys, values), n_kv_heads, BLOCK_LEN, head_dim]`: what one head
/// reads lies together.
#[derive(Debug)]
pub struct KvBlock {
    cells: Box<[f32]>,
    head_dim: usize,
    n_kv_heads: usize,
}

/// One sequence's view: its blocks in order, of which `len` positions are filled.
///
/// A forward pass writes positions from `len` on; the blocks it writes may not be shared.
#[derive(Debug, Default)]
pub struct KvTable {
    /// Blocks in order of position.
    pub blocks: Vec<Arc<KvBlock>>,
    /// Positions that hold keys and values.
    pub len: usize,
}

impl KvBlock {
    /// An empty block for a network of that shape.
    pub fn new(config: &Config) -> KvBlock {
        KvBlock {
            cells: vec![0.0; n_cells(config)].into_boxed_slice(),
            head_dim: config.head_dim,
            n_kv_heads: config.n_kv_heads,
        }
    }

    /// Bytes of one block.
    pub fn bytes(config: &Config) -> usize {
        n_cells(config) * size_of::<f32>()
    }

    pub(crate) fn fits(&self, config: &Config) -> bool {
        self.cells.len() == n_cells(config)
            && self.head_dim == config.head_dim
            && self.n_kv_heads == config.n_kv_heads
    }

    /// Stores the keys and values `[n_kv_heads, head_dim]` of position `at` of this block.
    pub(crate) fn write(&mut self, layer_idx: usize, at: usize, keys: &[f32], values: &[f32]) {
        let head_dim = self.head_dim;
        for kv_head in 0..self.n_kv_heads {
            let own = kv_head * head_dim..(kv_head + 1) * head_dim;
            let start = self.keys_start(layer_idx, kv_head) + at * head_dim;
            self.cells[start..start + head_dim].copy_from_slice(&keys[own.clone()]);
            let start = start + self.values_offset();
            self.cells[start..start + head_dim].copy_from_slice(&values[own]);
        }
    }

    /// What one head reads: `n` positions from `from` on.
    fn run(&self, layer_idx: usize, kv_head: usize, from: usize, n: usize) -> Run<'_> {
        let start = self.keys_start(layer_idx, kv_head) + from * self.head_dim;
        let len = n * self.head_dim;
        Run {
            keys: &self.cells[start..start + len],
            values: &self.cells[start + self.values_offset()..][..len],
            stride: self.head_dim,
            n,
        }
    }

    fn keys_start(&self, layer_idx: usize, kv_head: usize) -> usize {
        (2 * layer_idx * self.n_kv_heads + kv_head) * BLOCK_LEN * self.head_dim
    }

    /// From a head's keys to its values.
    fn values_offset(&self) -> usize {
        self.n_kv_heads * BLOCK_LEN * self.head_dim
    }
}

impl KvTable {
    /// A table with fresh blocks for `n_positions`, none of them filled.
    pub fn with_room(config: &Config, n_positions: usize) -> KvTable {
        let n_blocks = n_positions.div_ceil(BLOCK_LEN);
        KvTable { blocks: (0..n_blocks).map(|_| Arc::new(KvBlock::new(config))).collect(), len: 0 }
    }

    /// Positions that the blocks can hold.
    pub fn room(&self) -> usize {
        self.blocks.len() * BLOCK_LEN
    }

    /// Positions `start..end` of one head in one layer, block by block, into `runs`.
    pub(crate) fn runs<'a>(
        &'a self,
        layer_idx: usize,
        kv_head: usize,
        (start, end): (usize, usize),
        runs: &mut Vec<Run<'a>>,
    ) {
        runs.clear();
        let mut at = start;
        while at < end {
            let from = at % BLOCK_LEN;
            let n = (BLOCK_LEN - from).min(end - at);
            runs.push(self.blocks[at / BLOCK_LEN].run(layer_idx, kv_head, from, n));
            at += n;
        }
    }
}

fn n_cells(config: &Config) -> usize {
    config.n_layers() * 2 * config.kv_width() * BLOCK_LEN
}
