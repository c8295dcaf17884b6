//! Isotonic regression: the rising curve that fits a set of scores best.

use serde::{Deserialize, Serialize};

use super::scored::Scored;
use crate::error::CalibrationError;

/// A rising curve through `(x, y)`: straight between its points, level outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct Isotonic {
    x: Vec<f64>,
    y: Vec<f64>,
}

/// As read from a file, before it is checked.
#[derive(Deserialize)]
struct Saved {
    x: Vec<f64>,
    y: Vec<f64>,
}

impl TryFrom<Saved> for Isotonic {
    type Error = CalibrationError;

    fn try_from(saved: Saved) -> Result<Isotonic, CalibrationError> {
        Isotonic::new(saved.x, saved.y)
    }
}

/// Contents of neighbouring scores that share one value.
struct Block {
    low: f64,
    high: f64,
    hits: u64,
    of: u64,
}

impl Block {
    fn value(&self) -> f64 {
        self.hits as f64 / self.of as f64
    }
}

impl Isotonic {
    /// Takes points in the order of `x`.
    ///
    /// # Errors
    /// [`CalibrationError`] unless there is a point, each `x` has its `y`, all lie between 0 and 1,
    /// `x` rises and `y` does not fall.
    pub fn new(x: Vec<f64>, y: Vec<f64>) -> Result<Isotonic, CalibrationError> {
        if x.is_empty() || x.len() != y.len() {
            return Err(CalibrationError::Points { n_x: x.len(), n_y: y.len() });
        }
        let is_share = |value: &f64| (0.0..=1.0).contains(value);
        if let Some(point) = (0..x.len()).find(|&at| !is_share(&x[at]) || !is_share(&y[at])) {
            return Err(CalibrationError::OutOfRange { point });
        }
        if let Some(point) = (1..x.len()).find(|&at| x[at] <= x[at - 1] || y[at] < y[at - 1]) {
            return Err(CalibrationError::Falls { point });
        }
        Ok(Isotonic { x, y })
    }

    /// The least squares fit by pooling adjacent violators (Ayer and others 1955; Barlow and others
    /// 1972), with the points of scikit-learn's `IsotonicRegression`. `None` of nothing.
    pub fn fit(items: &[Scored]) -> Option<Isotonic> {
        if items.is_empty() {
            return None;
        }
        let mut items = items.to_vec();
        items.sort_by(|a, b| a.probability().total_cmp(&b.probability()));
        let mut blocks: Vec<Block> = Vec::new();
        for group in items.chunk_by(|a, b| a.probability() == b.probability()) {
            let score = group[0].probability();
            let hits = group.iter().filter(|item| item.truth()).count() as u64;
            let mut block = Block { low: score, high: score, hits, of: group.len() as u64 };
            while let Some(before) = blocks.pop_if(|before| before.value() >= block.value()) {
                block.low = before.low;
                block.hits += before.hits;
                block.of += before.of;
            }
            blocks.push(block);
        }
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for block in &blocks {
            x.push(block.low);
            y.push(block.value());
            if block.high > block.low {
                x.push(block.high);
                y.push(block.value());
            }
        }
        Some(Isotonic { x, y })
    }

    /// The points, by rising `x`.
    pub fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.x.iter().copied().zip(self.y.iter().copied())
    }

    /// The calibrated score, from 0 to 1.
    pub fn apply(&self, score: f64) -> f64 {
        let score = score.clamp(0.0, 1.0);
        let after = self.x.partition_point(|&x| x < score);
        let point = |at: usize| Some((*self.x.get(at)?, *self.y.get(at)?));
        let before = after.checked_sub(1).and_then(point);
        match (before, point(after)) {
            (Some((x0, y0)), Some((x1, y1))) => {
                // Rounding must not leave the segment, or the curve would fall.
                (y0 + (y1 - y0) * ((score - x0) / (x1 - x0))).clamp(y0, y1)
            }
            (Some((_, y)), None) | (None, Some((_, y))) => y,
            // A curve has at least one point.
            (None, None) => score,
        }
    }
}
