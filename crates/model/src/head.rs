//! The end of a pass: which rows get logits, and of which tokens of the vocabulary.
//!
//! The head is the largest matrix of a network. Where few tokens can follow, only the parts of it that hold them
//! are read; an output's sum is the same in a part and in the whole.

use std::borrow::Cow;
use std::ops::Range;

use kernels::{Arithmetic, Kernels, Matrix, Pool, Product, TILE};

/// Which of a segment's tokens get logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogitRows<'a> {
    /// None of them.
    None,
    /// So many at the end.
    Last(usize),
    /// The last one, and of these tokens of the vocabulary alone, all of which exist.
    LastOf(&'a [u32]),
    /// All.
    All,
}

impl<'a> LogitRows<'a> {
    /// Rows of logits that a segment of `n_tokens` gets: those of its last tokens.
    pub fn n_rows(self, n_tokens: usize) -> usize {
        match self {
            LogitRows::None => 0,
            LogitRows::Last(n_rows) => n_rows.min(n_tokens),
            LogitRows::LastOf(_) => n_tokens.min(1),
            LogitRows::All => n_tokens,
        }
    }

    /// The tokens that logits are wanted of, if not of all.
    pub(crate) fn few(self) -> Option<&'a [u32]> {
        match self {
            LogitRows::LastOf(few) => Some(few),
            LogitRows::None | LogitRows::Last(_) | LogitRows::All => None,
        }
    }
}

/// Rows of logits, in the order of the segments that wanted them, with the states that they are made from.
#[derive(Clone, Debug)]
pub struct Logits {
    values: Vec<f32>,
    /// Where each row lies in `values`.
    rows: Vec<Range<usize>>,
    states: Vec<f32>,
    hidden_size: usize,
}

impl Logits {
    /// One row: `[vocab]`, or a logit for each of the tokens that were named, in their order.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[self.rows[row].clone()]
    }

    /// What the row is made from: the last layer's output behind the final norm, `[hidden]`.
    pub fn state(&self, row: usize) -> &[f32] {
        &self.states[row * self.hidden_size..][..self.hidden_size]
    }

    /// Rows there are.
    pub fn n_rows(&self) -> usize {
        self.rows.len()
    }
}

/// The head and what computes with it.
pub(crate) struct Head<'a> {
    pub(crate) kernels: &'a Kernels,
    pub(crate) pool: &'a Pool,
    /// `[vocab, hidden]`
    pub(crate) matrix: Matrix<'a>,
    pub(crate) arithmetic: Arithmetic,
}

impl Head<'_> {
    /// The logits of `states`, `[n_rows, hidden]`: for each row of all tokens, or of the few that it names.
    pub(crate) fn logits(&self, states: Vec<f32>, wishes: &[Option<&[u32]>]) -> Logits {
        let (hidden_size, vocab_size) = (self.matrix.n_in(), self.matrix.n_out());
        let few: Vec<&[u32]> = wishes.iter().copied().flatten().collect();
        let (wide_x, narrow_x) = split(&states, hidden_size, wishes);
        let n_wide = (wishes.len() - few.len()) * vocab_size;
        let n_narrow: usize = few.iter().map(|few| few.len()).sum();
        let mut values = Vec::with_capacity(n_wide + n_narrow);
        values.resize(n_wide, 0.0);
        let mut parts = Parts::with(&few, vocab_size);
        let mut products = parts.products(self, &narrow_x);
        products.push(self.product(&wide_x, self.matrix, &mut values));
        self.kernels.matmuls(self.pool, &mut products);
        let mut rows = Vec::with_capacity(wishes.len());
        let (mut n_wide, mut n_narrow) = (0, 0);
        for wish in wishes {
            let row = match wish {
                None => {
                    n_wide += 1;
                    (n_wide - 1) * vocab_size..n_wide * vocab_size
                }
                Some(few) => {
                    n_narrow += 1;
                    let start = values.len();
                    values.extend(few.iter().map(|&token| parts.logit(n_narrow - 1, token)));
                    start..values.len()
                }
            };
            rows.push(row);
        }
        Logits { values, rows, states, hidden_size }
    }

    fn product<'p>(&self, x: &'p [f32], w: Matrix<'p>, out: &'p mut [f32]) -> Product<'p> {
        Product { x, w, bias: None, out, arithmetic: self.arithmetic }
    }
}

/// The states whose rows want all tokens, and those whose rows want few.
fn split<'a>(
    states: &'a [f32],
    hidden_size: usize,
    wishes: &[Option<&[u32]>],
) -> (Cow<'a, [f32]>, Cow<'a, [f32]>) {
    if wishes.iter().all(Option::is_none) {
        return (Cow::Borrowed(states), Cow::default());
    }
    let (mut wide, mut narrow) = (Vec::new(), Vec::new());
    for (state, wish) in states.chunks_exact(hidden_size).zip(wishes) {
        if wish.is_none() { &mut wide } else { &mut narrow }.extend_from_slice(state);
    }
    (wide.into(), narrow.into())
}

/// Parts of the head that together hold all tokens that narrow rows want.
struct Parts {
    /// Tiles of the head, ascending, not touching each other.
    tiles: Vec<Range<usize>>,
    /// Of each part the logits of all narrow rows, `[n_rows, rows of the part]`.
    values: Vec<Vec<f32>>,
    n_rows: usize,
}

impl Parts {
    fn with(few: &[&[u32]], vocab_size: usize) -> Parts {
        let tokens = few.iter().copied().flatten();
        let mut wanted: Vec<usize> = tokens.map(|&token| token as usize / TILE).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let touching = wanted.chunk_by(|tile, next| tile + 1 == *next);
        let tiles: Vec<Range<usize>> =
            touching.map(|tiles| tiles[0]..tiles[0] + tiles.len()).collect();
        let n_rows = few.len();
        let n_part = |tiles: &Range<usize>| vocab_size.min(tiles.end * TILE) - tiles.start * TILE;
        let values = tiles.iter().map(|tiles| vec![0.0; n_rows * n_part(tiles)]).collect();
        Parts { tiles, values, n_rows }
    }

    fn products<'a>(&'a mut self, head: &Head<'a>, x: &'a [f32]) -> Vec<Product<'a>> {
        let parts = self.tiles.iter().zip(&mut self.values);
        let product = |(tiles, out): (&Range<usize>, &'a mut Vec<f32>)| {
            head.product(x, head.matrix.tiles(tiles.clone()), out)
        };
        parts.map(product).collect()
    }

    /// One narrow row's logit of a token that it named.
    fn logit(&self, row: usize, token: u32) -> f32 {
        let token = token as usize;
        let part = self.tiles.partition_point(|tiles| tiles.end * TILE <= token);
        let n_part = self.values[part].len() / self.n_rows;
        self.values[part][row * n_part + token - self.tiles[part].start * TILE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_whole_tiles_and_touching_ones_are_one() {
        let parts = |few: &[&[u32]]| {
            let parts = Parts::with(few, 200);
            parts.tiles.into_iter().zip(parts.values.iter().map(Vec::len)).collect::<Vec<_>>()
        };
        assert!(parts(&[]).is_empty());
        assert_eq!(parts(&[&[0, 31], &[5]]), [(0..1, 64)]);
        assert_eq!(parts(&[&[199, 33], &[64, 160]]), [(1..3, 128), (5..7, 80)]);
    }
}
