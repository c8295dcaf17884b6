//! Attention of one query head over the keys and values before it, with a sink.

use crate::dispatch::Kernels;

/// Keys and values of neighbouring positions: position `i` starts at `i * stride` in both.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Keys; `[n, stride]`, of which the first head-size floats of each row are used.
    pub keys: &'a [f32],
    /// Values, laid out as the keys.
    pub values: &'a [f32],
    /// Floats between neighbouring positions.
    pub stride: usize,
    /// Positions.
    pub n: usize,
}

impl Kernels {
    /// `out = sum over positions of weight * value`, where the weights are the softmax of
    /// `q · key * scale` and of `sink`, which takes its share and has no value (spec: attention
    /// sinks). Positions are taken one by one in the order of `runs`, so cuts change no bit.
    /// `scores` is scratch and is overwritten.
    ///
    /// # Panics
    /// When a run is shorter than its `n` positions.
    pub fn attend(
        &self,
        q: &[f32],
        scale: f32,
        runs: &[Run<'_>],
        sink: f32,
        scores: &mut Vec<f32>,
        out: &mut [f32],
    ) {
        scores.clear();
        for run in runs {
            for at in 0..run.n {
                let key = &run.keys[at * run.stride..][..q.len()];
                scores.push((self.dot)(q, key) * scale);
            }
        }
        let share = weights_with_sink(scores, sink);
        out.fill(0.0);
        let mut weights = scores.iter();
        for run in runs {
            for (at, weight) in (0..run.n).zip(&mut weights) {
                let value = &run.values[at * run.stride..][..out.len()];
                (self.add_scaled)(out, weight * share, value);
            }
        }
    }
}

/// Turns scores into `exp(score - max)` and gives the factor that makes them weights.
fn weights_with_sink(scores: &mut [f32], sink: f32) -> f32 {
    let top = scores.iter().fold(sink, |top, &score| top.max(score));
    let mut total = 0.0;
    for score in scores.iter_mut() {
        *score = (*score - top).exp();
        total += *score;
    }
    1.0 / (total + (sink - top).exp())
}
