//! How many cells of each kind, and how many a sequence needs.

use std::iter::Sum;
use std::ops::{Add, Range, Sub};

use model::kv::{BLOCK_LEN, KvShape, Layers};

/// Cells of blocks, counted by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) n_full: usize,
    pub(crate) n_sliding: usize,
}

impl Amount {
    pub(crate) fn bytes(self, shape: &KvShape) -> usize {
        let full = self.n_full.saturating_mul(shape.cells_bytes(Layers::Full));
        full.saturating_add(self.n_sliding.saturating_mul(shape.cells_bytes(Layers::Sliding)))
    }

    /// What is left of it without `held`.
    fn beyond(self, held: Amount) -> Amount {
        Amount {
            n_full: self.n_full.saturating_sub(held.n_full),
            n_sliding: self.n_sliding.saturating_sub(held.n_sliding),
        }
    }
}

impl Add for Amount {
    type Output = Amount;

    fn add(self, other: Amount) -> Amount {
        Amount { n_full: self.n_full + other.n_full, n_sliding: self.n_sliding + other.n_sliding }
    }
}

impl Sub for Amount {
    type Output = Amount;

    fn sub(self, other: Amount) -> Amount {
        Amount { n_full: self.n_full - other.n_full, n_sliding: self.n_sliding - other.n_sliding }
    }
}

/// What sequences need to get to their last token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Need {
    /// Held at most at once where every step is of one token.
    pub(crate) least: Amount,
    /// Sliding parts beyond these where one step computes everything.
    pub(crate) n_passing: usize,
}

impl Need {
    /// What a sequence of `n_blocks` needs beyond `held`, if the last `n_ahead` of them give their sliding parts back
    /// once they are out of sight.
    pub(super) fn of(shape: &KvShape, n_blocks: usize, n_ahead: usize, held: Amount) -> Need {
        let n_sliding = n_ahead.min(shape.most_seen());
        let least = Amount { n_full: n_blocks, n_sliding }.beyond(held);
        Need { least, n_passing: n_ahead - n_sliding }
    }

    /// With `n_staying` sliding parts more, which it does not give back.
    pub(super) fn and_staying(self, n_staying: usize) -> Need {
        Need { least: self.least + Amount { n_full: 0, n_sliding: n_staying }, ..self }
    }

    /// What a sequence of `n_tokens` needs where there is no other and nothing is cached.
    pub(crate) fn alone(shape: &KvShape, n_tokens: usize) -> Need {
        let n_blocks = n_tokens.div_ceil(BLOCK_LEN);
        Need::of(shape, n_blocks, n_blocks, Amount::default())
    }

    /// Bytes where a step computes at most `max_batch_tokens`, of all sequences together.
    pub(crate) fn bytes(self, shape: &KvShape, max_batch_tokens: usize) -> usize {
        let n_passing = self.n_passing.min(max_batch_tokens.div_ceil(BLOCK_LEN));
        (self.least + Amount { n_full: 0, n_sliding: n_passing }).bytes(shape)
    }
}

/// The blocks whose sliding parts are seen from behind the first `n_blocks`.
pub(super) fn window_behind(shape: &KvShape, n_blocks: usize) -> Range<usize> {
    shape.first_seen(n_blocks * BLOCK_LEN).min(n_blocks)..n_blocks
}

impl Sum for Need {
    fn sum<I: Iterator<Item = Need>>(needs: I) -> Need {
        needs.fold(Need::default(), |sum, need| Need {
            least: sum.least + need.least,
            n_passing: sum.n_passing + need.n_passing,
        })
    }
}
