//! Keys and values of the positions before: the layout that the forward pass reads and extends.
//!
//! Who owns and shares blocks is the engine's business.

use std::sync::Arc;

use crate::config::Config;

/// Positions of one block.
pub const BLOCK_LEN: usize = 32;

/// Keys and values of [`BLOCK_LEN`] positions in all layers.
#[derive(Debug)]
pub struct KvBlock {
    /// `[layer, 2, BLOCK_LEN, kv_width]`: keys, then values.
    cells: Box<[f32]>,
    kv_width: usize,
}

impl KvBlock {
    /// An empty block for a network.
    pub fn new(config: &Config) -> KvBlock {
        let n_cells = KvBlock::bytes(config) / size_of::<f32>();
        KvBlock { cells: vec![0.0; n_cells].into(), kv_width: config.kv_width() }
    }

    /// Bytes that a block takes.
    pub fn bytes(config: &Config) -> usize {
        config.num_hidden_layers * 2 * BLOCK_LEN * config.kv_width() * size_of::<f32>()
    }

    /// All cells, in an order of this program's own.
    pub fn cells(&self) -> &[f32] {
        &self.cells
    }

    /// As [`KvBlock::cells`], to be set.
    pub fn cells_mut(&mut self) -> &mut [f32] {
        &mut self.cells
    }

    /// Keys of a layer, `[BLOCK_LEN, kv_width]`.
    pub fn keys(&self, layer: usize) -> &[f32] {
        let plane = BLOCK_LEN * self.kv_width;
        &self.cells[2 * layer * plane..][..plane]
    }

    /// Values of a layer, `[BLOCK_LEN, kv_width]`.
    pub fn values(&self, layer: usize) -> &[f32] {
        let plane = BLOCK_LEN * self.kv_width;
        &self.cells[(2 * layer + 1) * plane..][..plane]
    }

    /// Writes one position's key and value, `[kv_width]` each; `offset` is its place in the block.
    pub fn write(&mut self, layer: usize, offset: usize, key: &[f32], value: &[f32]) {
        let plane = BLOCK_LEN * self.kv_width;
        let start = 2 * layer * plane + offset * self.kv_width;
        self.cells[start..][..self.kv_width].copy_from_slice(key);
        self.cells[start + plane..][..self.kv_width].copy_from_slice(value);
    }
}

/// One sequence's view: position `p` lies in block `p / BLOCK_LEN`.
#[derive(Debug, Default)]
pub struct KvTable {
    /// The blocks; those that are written must be held by this table alone.
    pub blocks: Vec<Arc<KvBlock>>,
    /// Positions computed.
    pub len: usize,
}

impl KvTable {
    /// A table of its own with room for `n_positions`.
    pub fn with_room(config: &Config, n_positions: usize) -> KvTable {
        let blocks = (0..n_positions.div_ceil(BLOCK_LEN)).map(|_| Arc::new(KvBlock::new(config)));
        KvTable { blocks: blocks.collect(), len: 0 }
    }
}
