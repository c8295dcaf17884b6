//! One forward pass for many sequences, in which each can only fail alone.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use model::ModelError;
use model::forward::{Forward, Logits, Segment};

use crate::error::EngineError;
use crate::panics::panic_message;

/// What computes a step. A trait so that tests can make single requests fail.
pub(crate) trait Network: Send {
    /// Computes the segments' tokens, extends their tables, returns the wanted logits.
    fn run(&mut self, segments: &mut [Segment<'_>]) -> Result<Logits, ModelError>;
}

impl Network for Forward {
    fn run(&mut self, segments: &mut [Segment<'_>]) -> Result<Logits, ModelError> {
        Forward::run(self, segments)
    }
}

/// The outcome of a step, segment by segment.
pub(crate) enum Outcome {
    /// All went well; of each segment, which rows it has.
    Together { logits: Logits, rows: Vec<Range<usize>> },
    /// The segments were computed one by one, since together they failed.
    Apart(Vec<Result<Logits, EngineError>>),
}

/// What a step says of a segment: a row for each of its last tokens, as many as it wanted.
pub(crate) struct Rows<'a> {
    logits: &'a Logits,
    rows: Range<usize>,
}

/// What a step says of one token.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    /// `[vocab]`, or as many as the segment named tokens.
    pub(crate) logits: &'a [f32],
    /// `[hidden]`
    pub(crate) state: &'a [f32],
}

impl<'a> Rows<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn row(&self, at: usize) -> Row<'a> {
        let row = self.rows.start + at;
        Row { logits: self.logits.row(row), state: self.logits.state(row) }
    }
}

impl Outcome {
    /// The rows of a segment.
    pub(crate) fn rows(&self, segment_idx: usize) -> Result<Rows<'_>, EngineError> {
        match self {
            Outcome::Together { logits, rows } => {
                Ok(Rows { logits, rows: rows[segment_idx].clone() })
            }
            Outcome::Apart(parts) => match &parts[segment_idx] {
                Ok(logits) => Ok(Rows { logits, rows: 0..logits.n_rows() }),
                Err(error) => Err(error.clone()),
            },
        }
    }
}

/// Computes a step. If it fails as a whole, every segment is computed alone, so that only those pay
/// that cannot be computed at all. That costs nothing in exactness: a sequence's numbers are the
/// same alone and in a batch.
pub(crate) fn run(network: &mut impl Network, segments: &mut [Segment<'_>]) -> Outcome {
    let starts: Vec<usize> = segments.iter().map(|segment| segment.kv.len).collect();
    let together = attempt(network, segments);
    match together {
        Ok(logits) => {
            let mut n_rows = 0;
            let rows = segments.iter().map(|segment| {
                let start = n_rows;
                n_rows += segment.logits.n_rows(segment.tokens.len());
                start..n_rows
            });
            Outcome::Together { rows: rows.collect(), logits }
        }
        Err(error) if segments.len() == 1 => Outcome::Apart(vec![Err(error)]),
        Err(_) => {
            let apart = segments.iter_mut().zip(starts).map(|(segment, start)| {
                segment.kv.len = start;
                attempt(network, std::slice::from_mut(segment))
            });
            Outcome::Apart(apart.collect())
        }
    }
}

fn attempt(
    network: &mut impl Network,
    segments: &mut [Segment<'_>],
) -> Result<Logits, EngineError> {
    match catch_unwind(AssertUnwindSafe(|| network.run(segments))) {
        Ok(result) => result.map_err(|error| EngineError::Forward(Arc::new(error))),
        Err(panic) => Err(EngineError::ForwardPanicked { message: panic_message(panic.as_ref()) }),
    }
}
