//! Keys and values of the positions before: the layout that the forward pass reads and extends.
//!
//! A block has two parts, since sliding layers stop looking at it long before the others do. Who owns and shares them
//! is the engine's business.

use std::sync::Arc;

use crate::config::Config;

/// Positions of one block.
pub const BLOCK_LEN: usize = kernels::BLOCK;

/// The layers of a network whose keys and values lie together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layers {
    /// Those that see all positions before.
    Full,
    /// Those that see the last positions only.
    Sliding,
}

/// The sizes of a network's keys and values, and how far back its sliding layers see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvShape {
    n_full: usize,
    n_sliding: usize,
    n_heads: usize,
    head_dim: usize,
    window: usize,
}

impl KvShape {
    /// The sizes of a network.
    pub fn of(config: &Config) -> KvShape {
        let n_sliding = config.is_sliding.iter().filter(|&&slides| slides).count();
        KvShape {
            n_full: config.is_sliding.len() - n_sliding,
            n_sliding,
            n_heads: config.num_key_value_heads,
            head_dim: config.head_dim,
            window: config.sliding_window,
        }
    }

    /// Bytes of one block's cells in layers of a kind; 0 where there are none.
    pub fn cells_bytes(&self, layers: Layers) -> usize {
        self.n_cells(layers) * size_of::<f32>()
    }

    /// Bytes of one block in all layers.
    pub fn block_bytes(&self) -> usize {
        self.cells_bytes(Layers::Full) + self.cells_bytes(Layers::Sliding)
    }

    /// Bytes of the first `n_blocks` blocks as far as the positions behind them see.
    pub fn prefix_bytes(&self, n_blocks: usize) -> usize {
        let n_seen = n_blocks.saturating_sub(self.first_seen(n_blocks * BLOCK_LEN));
        n_blocks * self.cells_bytes(Layers::Full) + n_seen * self.cells_bytes(Layers::Sliding)
    }

    /// Empty cells of one block.
    pub fn cells(&self, layers: Layers) -> KvCells {
        KvCells {
            cells: vec![0.0; self.n_cells(layers)].into(),
            n_heads: self.n_heads,
            head_dim: self.head_dim,
        }
    }

    /// The first block that sliding layers read at `position` or later: those before it need no sliding part. Where no
    /// layer slides, none needs one.
    pub fn first_seen(&self, position: usize) -> usize {
        match self.n_sliding {
            0 => usize::MAX,
            _ => (position + 1).saturating_sub(self.window) / BLOCK_LEN,
        }
    }

    /// Most blocks that sliding layers read and write at a single position.
    pub fn most_seen(&self) -> usize {
        match self.n_sliding {
            0 => 0,
            _ => (self.window - 1).div_ceil(BLOCK_LEN) + 1,
        }
    }

    fn n_cells(&self, layers: Layers) -> usize {
        let n_layers = match layers {
            Layers::Full => self.n_full,
            Layers::Sliding => self.n_sliding,
        };
        n_layers * self.n_heads * 2 * self.head_dim * BLOCK_LEN
    }
}

/// Where a layer's keys and values lie in a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    layers: Layers,
    /// Which of these layers it is.
    idx: usize,
}

impl Place {
    pub(crate) fn of(config: &Config, layer: usize) -> Place {
        let slides = config.is_sliding[layer];
        let alike = config.is_sliding[..layer].iter().filter(|&&other| other == slides);
        Place { layers: if slides { Layers::Sliding } else { Layers::Full }, idx: alike.count() }
    }
}

/// Keys and values of [`BLOCK_LEN`] positions in all layers of a kind.
#[derive(Debug)]
pub struct KvCells {
    /// `[layer, kv_head, 2, head_dim * BLOCK_LEN]`: a head's keys `[head_dim, BLOCK_LEN]`, then its values
    /// `[BLOCK_LEN, head_dim]`.
    cells: Box<[f32]>,
    n_heads: usize,
    head_dim: usize,
}

impl KvCells {
    /// Bytes that they take.
    pub fn n_bytes(&self) -> usize {
        size_of_val(&*self.cells)
    }

    /// All cells, in an order of this program's own.
    pub fn all(&self) -> &[f32] {
        &self.cells
    }

    /// As [`KvCells::all`], to be set.
    pub fn all_mut(&mut self) -> &mut [f32] {
        &mut self.cells
    }

    /// Keys of a head, `[head_dim, BLOCK_LEN]`.
    fn keys(&self, layer_idx: usize, head: usize) -> &[f32] {
        let plane = BLOCK_LEN * self.head_dim;
        &self.cells[2 * (layer_idx * self.n_heads + head) * plane..][..plane]
    }

    /// Values of a head, `[BLOCK_LEN, head_dim]`.
    fn values(&self, layer_idx: usize, head: usize) -> &[f32] {
        let plane = BLOCK_LEN * self.head_dim;
        &self.cells[(2 * (layer_idx * self.n_heads + head) + 1) * plane..][..plane]
    }

    fn write(&mut self, layer_idx: usize, offset: usize, key: &[f32], value: &[f32]) {
        let (plane, d) = (BLOCK_LEN * self.head_dim, self.head_dim);
        let start = 2 * layer_idx * self.n_heads * plane;
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

/// Keys and values of [`BLOCK_LEN`] positions.
#[derive(Debug, Clone)]
pub struct KvBlock {
    /// Those of the layers that see everything.
    pub full: Arc<KvCells>,
    /// Those of the sliding layers, as long as these see the block.
    pub sliding: Option<Arc<KvCells>>,
}

impl KvBlock {
    /// Keys and values of a layer's head, `[head_dim, BLOCK_LEN]` and `[BLOCK_LEN, head_dim]`.
    ///
    /// # Panics
    /// Where the layer no longer sees the block.
    pub(crate) fn head(&self, place: Place, head: usize) -> (&[f32], &[f32]) {
        let cells = match place.layers {
            Layers::Full => &self.full,
            Layers::Sliding => self.sliding.as_ref().expect("the table was checked"),
        };
        (cells.keys(place.idx, head), cells.values(place.idx, head))
    }

    /// Writes one position's key and value, `[kv_heads, head_dim]` each; `offset` is its place in the block. Returns
    /// whether it could: not where the cells are held elsewhere too.
    #[must_use]
    pub(crate) fn write(
        &mut self,
        place: Place,
        offset: usize,
        key: &[f32],
        value: &[f32],
    ) -> bool {
        let cells = match place.layers {
            Layers::Full => Some(&mut self.full),
            Layers::Sliding => self.sliding.as_mut(),
        };
        let own = cells.and_then(Arc::get_mut);
        own.map(|cells| cells.write(place.idx, offset, key, value)).is_some()
    }
}

/// One sequence's view: position `p` lies in block `p / BLOCK_LEN`.
#[derive(Debug, Default)]
pub struct KvTable {
    /// The blocks; those that are written must be held by this table alone, and those from [`KvShape::first_seen`] of
    /// the next position on must have their sliding part.
    pub blocks: Vec<KvBlock>,
    /// Positions computed.
    pub len: usize,
}

impl KvTable {
    /// A table of its own with room for `n_positions`.
    pub fn with_room(config: &Config, n_positions: usize) -> KvTable {
        let shape = KvShape::of(config);
        let cells = |layers| Arc::new(shape.cells(layers));
        let block =
            |_| KvBlock { full: cells(Layers::Full), sliding: Some(cells(Layers::Sliding)) };
        KvTable { blocks: (0..n_positions.div_ceil(BLOCK_LEN)).map(block).collect(), len: 0 }
    }
}
