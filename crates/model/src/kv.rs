//! Keys and values of the positions before: the layout that the forward pass reads and extends.
//!
//! Who owns and shares blocks is the engine's business.

use std::sync::Arc;

use crate::config::Config;

/// Positions of one block.
pub const BLOCK_LEN: usize = kernels::BLOCK;

/// Keys and values of [`BLOCK_LEN`] positions in all layers.
#[derive(Debug)]
pub struct KvBlock {
    /// `[layer, kv_head, 2, head_dim * BLOCK_LEN]`: a head's keys `[head_dim, BLOCK_LEN]`, then its values
    /// `[BLOCK_LEN, head_dim]`.
    cells: Box<[f32]>,
    n_heads: usize,
    head_dim: usize,
}

impl KvBlock {
    /// An empty block for a network.
    pub fn new(config: &Config) -> KvBlock {
        let n_cells = KvBlock::bytes(config) / size_of::<f32>();
        let (n_heads, head_dim) = (config.num_key_value_heads, config.head_dim);
        KvBlock { cells: vec![0.0; n_cells].into(), n_heads, head_dim }
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

    /// Keys of a head, `[head_dim, BLOCK_LEN]`.
    pub fn keys(&self, layer: usize, head: usize) -> &[f32] {
        let plane = BLOCK_LEN * self.head_dim;
        &self.cells[2 * (layer * self.n_heads + head) * plane..][..plane]
    }

    /// Values of a head, `[BLOCK_LEN, head_dim]`.
    pub fn values(&self, layer: usize, head: usize) -> &[f32] {
        let plane = BLOCK_LEN * self.head_dim;
        &self.cells[(2 * (layer * self.n_heads + head) + 1) * plane..][..plane]
    }

    /// Writes one position's key and value, `[kv_heads, head_dim]` each; `offset` is its place in the block.
    pub fn write(&mut self, layer: usize, offset: usize, key: &[f32], value: &[f32]) {
        let (plane, d) = (BLOCK_LEN * self.head_dim, self.head_dim);
        let start = 2 * layer * self.n_heads * plane;
        let heads = self.cells[start..].chunks_exact_mut(2 * plane);
        for ((head, key), value) in heads.zip(key.chunks_exact(d)).zip(value.chunks_exact(d)) {
            let (keys, values) = head.split_at_mut(plane);
            for (line, cell) in keys.chunks_exact_mut(BLOCK_LEN).zip(key) {
                line[offset] = *cell;
            }
            values[offset * d..][..d].copy_from_slice(value);
        }
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
