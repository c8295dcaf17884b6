//! Attention of the query heads that share a key and value head over the positions before them, with sinks.

use crate::dispatch::Kernels;

/// Positions of a block of keys and values.
pub const BLOCK: usize = 32;

/// Keys and values of one head at the positions of one block, of which a query sees `start..end`.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// `[d, BLOCK]`: what all positions have in one dimension lies side by side.
    pub keys: &'a [f32],
    /// `[BLOCK, d]`
    pub values: &'a [f32],
    /// First position that is seen.
    pub start: usize,
    /// The one behind the last.
    pub end: usize,
}

impl Kernels {
    /// For every head of `q` `[n_heads, d]`: `out = sum over positions of weight * value`, where the weights are
    /// the softmax of `q · key * scale` and of the head's sink, which takes its share and has no value (spec:
    /// attention sinks). A head's bits depend on its own query and the positions it sees, not on its neighbours.
    /// `scores` is scratch and is overwritten.
    ///
    /// # Panics
    /// When the slices do not fit the shapes.
    pub fn attend(
        &self,
        q: &[f32],
        scale: f32,
        runs: &[Run<'_>],
        sinks: &[f32],
        scores: &mut Vec<f32>,
        out: &mut [f32],
    ) {
        let (n_heads, n) = (sinks.len(), runs.len() * BLOCK);
        assert!(n_heads > 0 && q.len().is_multiple_of(n_heads) && out.len() == q.len());
        let d = q.len() / n_heads;
        scores.clear();
        scores.resize(n_heads * n, 0.0);
        for (at, run) in runs.iter().enumerate() {
            assert!(run.keys.len() == d * BLOCK && run.values.len() == d * BLOCK);
            assert!(run.start <= run.end && run.end <= BLOCK);
            (self.scores)(q, d, run.keys, scale, &mut scores[at * BLOCK..], n);
            for scores in scores.chunks_exact_mut(n) {
                let scores = &mut scores[at * BLOCK..][..BLOCK];
                scores[..run.start].fill(f32::NEG_INFINITY);
                scores[run.end..].fill(f32::NEG_INFINITY);
            }
        }
        for (scores, &sink) in scores.chunks_exact_mut(n.max(1)).zip(sinks) {
            (self.weigh)(scores, sink);
        }
        out.fill(0.0);
        for (at, run) in runs.iter().enumerate() {
            let weights = &scores[at * BLOCK + run.start..];
            let values = &run.values[run.start * d..run.end * d];
            (self.mix)(weights, n, values, d, out);
        }
    }
}
