//! One forward pass for many sequences, in which each can only fail alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use model::ModelError;
use model::forward::{Forward, LogitRows, Logits, Segment};

use crate::error::EngineError;
use crate::sequence::panic_message;

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
    /// All went well; rows in the order of the segments that wanted one.
    Together { logits: Logits, rows: Vec<Option<usize>> },
    /// The segments were computed one by one, since together they failed.
    Apart(Vec<Result<Option<Logits>, EngineError>>),
}

/// What a step says of a segment's last token.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    /// `[vocab]`, or as many as the segment named tokens.
    pub(crate) logits: &'a [f32],
    /// `[hidden]`
    pub(crate) state: &'a [f32],
}

impl<'a> Row<'a> {
    fn of(logits: &'a Logits, row: usize) -> Row<'a> {
        Row { logits: logits.row(row), state: logits.state(row) }
    }
}

impl Outcome {
    /// The row of a segment, or `None` if it wanted none.
    pub(crate) fn row(&self, segment_idx: usize) -> Result<Option<Row<'_>>, EngineError> {
        match self {
            Outcome::Together { logits, rows } => {
                Ok(rows[segment_idx].map(|row| Row::of(logits, row)))
            }
            Outcome::Apart(parts) => match &parts[segment_idx] {
                Ok(logits) => Ok(logits.as_ref().map(|logits| Row::of(logits, 0))),
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
                wants_row(segment).then(|| {
                    n_rows += 1;
                    n_rows - 1
                })
            });
            Outcome::Together { rows: rows.collect(), logits }
        }
        Err(error) if segments.len() == 1 => Outcome::Apart(vec![Err(error)]),
        Err(_) => {
            let apart = segments.iter_mut().zip(starts).map(|(segment, start)| {
                segment.kv.len = start;
                let logits = attempt(network, std::slice::from_mut(segment))?;
                Ok(wants_row(segment).then_some(logits))
            });
            Outcome::Apart(apart.collect())
        }
    }
}

fn wants_row(segment: &Segment<'_>) -> bool {
    segment.logits != LogitRows::None
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
