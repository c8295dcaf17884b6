//! What goes into a forward pass and what comes out: segments of sequences, rows of logits.
//!
//! Everything that can be wrong with a step is found here, before any table is written.

use std::sync::Arc;

use crate::config::Config;
use crate::error::ModelError;
use crate::kv::{BLOCK_LEN, KvTable};

/// Tokens of one sequence that are computed in one step.
#[derive(Debug)]
pub struct Segment<'a> {
    /// The tokens; they continue `kv` at `kv.len`.
    pub tokens: &'a [u32],
    /// The sequence so far. It must have blocks for the tokens, and those may not be shared.
    pub kv: &'a mut KvTable,
    /// Whose logits are wanted.
    pub logits: LogitRows,
}

/// Which tokens of a segment get logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogitRows {
    /// None: more of the prompt is to come.
    None,
    /// The last.
    Last,
    /// All, in order.
    All,
}

/// Rows of logits `[n_rows, vocab_size]`, in the order of the segments that wanted them.
#[derive(Clone, Debug)]
pub struct Logits {
    values: Vec<f32>,
    vocab_size: usize,
}

impl Logits {
    pub(crate) fn new(values: Vec<f32>, vocab_size: usize) -> Logits {
        Logits { values, vocab_size }
    }

    /// Rows.
    pub fn n_rows(&self) -> usize {
        self.values.len() / self.vocab_size
    }

    /// One row `[vocab_size]`.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.vocab_size..][..self.vocab_size]
    }

    /// All rows `[n_rows, vocab_size]`.
    pub fn as_slice(&self) -> &[f32] {
        &self.values
    }
}

/// The rows of a step: one for each token of each segment.
pub(crate) struct Batch {
    pub(crate) tokens: Vec<u32>,
    /// Position of each row in its sequence.
    pub(crate) positions: Vec<usize>,
    /// Segment of each row.
    pub(crate) owners: Vec<usize>,
    /// Rows that get logits.
    pub(crate) wanted: Vec<usize>,
}

impl Batch {
    /// Lays the segments' tokens out as rows, if all of them can be computed.
    pub(crate) fn check(
        config: &Config,
        segments: &mut [Segment<'_>],
    ) -> Result<Batch, ModelError> {
        let mut batch = Batch { tokens: vec![], positions: vec![], owners: vec![], wanted: vec![] };
        for (segment_idx, segment) in segments.iter_mut().enumerate() {
            check_segment(config, segment_idx, segment)?;
            let first = batch.tokens.len();
            batch.tokens.extend_from_slice(segment.tokens);
            let start = segment.kv.len;
            batch.positions.extend(start..start + segment.tokens.len());
            batch.owners.resize(batch.tokens.len(), segment_idx);
            let end = batch.tokens.len();
            match segment.logits {
                LogitRows::None => {}
                LogitRows::Last => batch.wanted.push(end - 1),
                LogitRows::All => batch.wanted.extend(first..end),
            }
        }
        Ok(batch)
    }

    /// Writes the rows' keys and values `[n_rows, width]` into the segments' tables.
    pub(crate) fn store(
        &self,
        segments: &mut [Segment<'_>],
        layer_idx: usize,
        keys: &[f32],
        values: &[f32],
        width: usize,
    ) {
        let rows = keys.chunks_exact(width).zip(values.chunks_exact(width));
        for ((keys, values), (&owner, &position)) in
            rows.zip(self.owners.iter().zip(&self.positions))
        {
            let block = &mut segments[owner].kv.blocks[position / BLOCK_LEN];
            Arc::get_mut(block)
                .expect("no block to be written is shared: checked before the step")
                .write(layer_idx, position % BLOCK_LEN, keys, values);
        }
    }
}

fn check_segment(
    config: &Config,
    segment_idx: usize,
    segment: &mut Segment<'_>,
) -> Result<(), ModelError> {
    let vocab_size = config.vocab_size;
    if let Some(&token) = segment.tokens.iter().find(|&&token| token as usize >= vocab_size) {
        return Err(ModelError::UnknownToken { token, vocab_size });
    }
    if segment.tokens.is_empty() {
        return Err(ModelError::EmptySegment { segment_idx });
    }
    let (start, end) = (segment.kv.len, segment.kv.len + segment.tokens.len());
    if end > segment.kv.room() {
        return Err(ModelError::NoRoom { segment_idx, end, room: segment.kv.room() });
    }
    let n_blocks = end.div_ceil(BLOCK_LEN);
    for (block_idx, block) in segment.kv.blocks.iter_mut().enumerate().take(n_blocks) {
        if !block.fits(config) {
            return Err(ModelError::ForeignBlock { segment_idx, block_idx });
        }
        if block_idx >= start / BLOCK_LEN && Arc::get_mut(block).is_none() {
            return Err(ModelError::SharedBlock { segment_idx, block_idx });
        }
    }
    Ok(())
}
