//! The forward pass: from tokens to logits, to be read from top to bottom.
//!
//! Rows are the tokens of all segments, one after the other. Everything a row needs is computed from
//! that row and its own sequence, and every sum has one order, so a row's bits depend neither on its
//! neighbours in the batch nor on the number of threads. What may go wrong is checked in `batch.rs`
//! before the first number is computed.

use std::sync::Arc;

use kernels::{Kernels, Pool};

use crate::batch::Batch;
pub use crate::batch::{LogitRows, Logits, Segment};
use crate::config::{Config, LayerKind};
use crate::error::ModelError;
use crate::model::Model;
use crate::parallel::for_chunks;
use crate::rope::Rope;
pub use crate::tap::TapPoint;
use crate::weights::{Layer, Linear};

/// Who listens to the values inside a pass: layer, place, values.
pub type Tap<'a> = &'a mut dyn FnMut(usize, TapPoint, &[f32]);

/// Runs a model: its kernels, threads and scratch memory.
pub struct Forward {
    model: Arc<Model>,
    kernels: Kernels,
    pool: Pool,
    rope: Rope,
    scratch: Scratch,
}

/// Memory that steps share; every use sizes it anew.
#[derive(Default)]
struct Scratch {
    /// The residual stream `[n_rows, hidden_size]`.
    x: Vec<f32>,
    /// What a norm gives, `[n_rows, hidden_size]`.
    normed: Vec<f32>,
    /// What a half layer adds to the residual stream, `[n_rows, hidden_size]`.
    added: Vec<f32>,
    /// Cosines of the rows' positions, `[n_rows, head_dim / 2]`.
    cos: Vec<f32>,
    /// Their sines.
    sin: Vec<f32>,
    /// Queries `[n_rows, n_heads, head_dim]`.
    q: Vec<f32>,
    /// Keys `[n_rows, n_kv_heads, head_dim]`.
    k: Vec<f32>,
    /// Values, as the keys.
    v: Vec<f32>,
    /// What the heads give, as the queries.
    heads: Vec<f32>,
    /// Router logits `[n_rows, n_experts]`.
    routes: Vec<f32>,
    /// One expert's input rows `[n, hidden_size]`.
    expert_in: Vec<f32>,
    /// Its gate and up values in turns, `[n, 2 * intermediate_size]`.
    gate_up: Vec<f32>,
    /// Its inner values `[n, intermediate_size]`.
    inner: Vec<f32>,
    /// Its output rows `[n, hidden_size]`.
    expert_out: Vec<f32>,
}

/// The kernels, threads and shape that every part of a pass uses.
#[derive(Clone, Copy)]
struct Tools<'a> {
    kernels: &'a Kernels,
    pool: &'a Pool,
    config: &'a Config,
}

impl Forward {
    /// Prepares to run `model`.
    pub fn new(model: Arc<Model>, kernels: Kernels, pool: Pool) -> Forward {
        let rope = Rope::new(model.config());
        Forward { model, kernels, pool, rope, scratch: Scratch::default() }
    }

    /// Computes the segments' tokens, extends their tables, and returns the logits they want.
    ///
    /// # Errors
    /// [`ModelError::UnknownToken`], [`ModelError::EmptySegment`], [`ModelError::NoRoom`],
    /// [`ModelError::SharedBlock`] or [`ModelError::ForeignBlock`]; then no table has changed.
    pub fn run(&mut self, segments: &mut [Segment<'_>]) -> Result<Logits, ModelError> {
        self.run_tapped(segments, &mut |_, _, _| {})
    }

    /// As [`Forward::run`], and shows the values on the way to `tap`.
    ///
    /// # Errors
    /// As [`Forward::run`].
    pub fn run_tapped(
        &mut self,
        segments: &mut [Segment<'_>],
        tap: Tap<'_>,
    ) -> Result<Logits, ModelError> {
        let config = self.model.config();
        let weights = self.model.weights();
        let batch = Batch::check(config, segments)?;
        let tools = Tools { kernels: &self.kernels, pool: &self.pool, config };
        let s = &mut self.scratch;

        self.rope.table(&batch.positions, &mut s.cos, &mut s.sin);
        let x = sized(&mut s.x, batch.tokens.len() * config.hidden_size);
        for (&token, row) in batch.tokens.iter().zip(x.chunks_exact_mut(config.hidden_size)) {
            tools.kernels.unpack_rows(&weights.embedding.matrix(), token as usize, row);
        }
        tap(0, TapPoint::Embed, &s.x);
        for (layer_idx, layer) in weights.layers.iter().enumerate() {
            tools.attention(layer_idx, layer, &batch, segments, s, tap);
            tools.experts(layer_idx, layer, s, tap);
            tap(layer_idx, TapPoint::Out, &s.x);
        }
        for segment in segments.iter_mut() {
            segment.kv.len += segment.tokens.len();
        }

        let wanted = sized(&mut s.added, batch.wanted.len() * config.hidden_size);
        gather(&s.x, &batch.wanted, config.hidden_size, wanted);
        tools.norm(&s.added, &weights.final_norm, &mut s.normed);
        tap(config.n_layers(), TapPoint::FinalNorm, &s.normed);
        let mut logits = vec![0.0; batch.wanted.len() * config.vocab_size];
        tools.kernels.matmul(tools.pool, &s.normed, &weights.head.matrix(), None, &mut logits);
        Ok(Logits::new(logits, config.vocab_size))
    }
}

impl Tools<'_> {
    /// `x += Attention(norm(x))`, storing the rows' keys and values on the way.
    fn attention(
        self,
        layer_idx: usize,
        layer: &Layer,
        batch: &Batch,
        segments: &mut [Segment<'_>],
        s: &mut Scratch,
        tap: Tap<'_>,
    ) {
        self.norm(&s.x, &layer.attn_norm, &mut s.normed);
        tap(layer_idx, TapPoint::AttnNorm, &s.normed);
        self.linear(&s.normed, &layer.q, &mut s.q);
        self.linear(&s.normed, &layer.k, &mut s.k);
        self.linear(&s.normed, &layer.v, &mut s.v);
        tap(layer_idx, TapPoint::Q, &s.q);
        tap(layer_idx, TapPoint::K, &s.k);
        tap(layer_idx, TapPoint::V, &s.v);
        self.rotate(&mut s.q, self.config.n_heads, &s.cos, &s.sin);
        self.rotate(&mut s.k, self.config.n_kv_heads, &s.cos, &s.sin);
        batch.store(segments, layer_idx, &s.k, &s.v, self.config.kv_width());
        let heads = sized(&mut s.heads, s.q.len());
        self.attend(layer_idx, layer, batch, segments, &s.q, heads);
        tap(layer_idx, TapPoint::AttnHeads, &s.heads);
        self.linear(&s.heads, &layer.o, &mut s.added);
        tap(layer_idx, TapPoint::AttnOut, &s.added);
        self.kernels.add_scaled(&mut s.x, 1.0, &s.added);
    }

    /// Every query head over the positions it may see: all up to its own, or a window of them.
    fn attend(
        self,
        layer_idx: usize,
        layer: &Layer,
        batch: &Batch,
        segments: &[Segment<'_>],
        q: &[f32],
        heads: &mut [f32],
    ) {
        let Config { head_dim, n_kv_heads, n_heads, sliding_window, .. } = *self.config;
        let n_group = n_heads / n_kv_heads;
        let scale = 1.0 / (head_dim as f32).sqrt();
        for_chunks(self.pool, heads, n_group * head_dim, &|task, out| {
            let (row, kv_head) = (task / n_kv_heads, task % n_kv_heads);
            let end = batch.positions[row] + 1;
            let start = match self.config.layers[layer_idx] {
                LayerKind::Sliding => end.saturating_sub(sliding_window),
                LayerKind::Full => 0,
            };
            let (mut runs, mut scores) = (Vec::new(), Vec::new());
            let table = &segments[batch.owners[row]].kv;
            table.runs(layer_idx, kv_head, (start, end), &mut runs);
            for (i, out) in out.chunks_exact_mut(head_dim).enumerate() {
                let head = kv_head * n_group + i;
                let q = &q[(row * n_heads + head) * head_dim..][..head_dim];
                self.kernels.attend(q, scale, &runs, layer.sinks[head], &mut scores, out);
            }
        });
    }

    /// `x += MoE(norm(x))`: each expert once, over all rows that chose it.
    fn experts(self, layer_idx: usize, layer: &Layer, s: &mut Scratch, tap: Tap<'_>) {
        self.norm(&s.x, &layer.mlp_norm, &mut s.normed);
        tap(layer_idx, TapPoint::MlpNorm, &s.normed);
        self.linear(&s.normed, &layer.router, &mut s.routes);
        tap(layer_idx, TapPoint::RouterLogits, &s.routes);
        let rows_of_expert = self.route(layer_idx, &s.routes, tap);
        sized(&mut s.added, s.x.len());
        for (expert_idx, (rows, shares)) in rows_of_expert.iter().enumerate() {
            if !rows.is_empty() {
                self.expert(layer, expert_idx, rows, shares, s);
            }
        }
        tap(layer_idx, TapPoint::MlpOut, &s.added);
        self.kernels.add_scaled(&mut s.x, 1.0, &s.added);
    }

    /// For each expert the rows that chose it and the shares they give it: the best few experts of
    /// a row first, then softmax over these alone. Equals go to the lower index.
    fn route(self, layer_idx: usize, routes: &[f32], tap: Tap<'_>) -> Vec<(Vec<usize>, Vec<f32>)> {
        let Config { n_experts, n_experts_per_token, .. } = *self.config;
        let mut rows_of_expert = vec![(Vec::new(), Vec::new()); n_experts];
        let (mut all_chosen, mut all_shares) = (Vec::new(), Vec::new());
        for (row, logits) in routes.chunks_exact(n_experts).enumerate() {
            let mut chosen: Vec<usize> = (0..n_experts).collect();
            chosen.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
            chosen.truncate(n_experts_per_token);
            let mut shares: Vec<f32> = chosen.iter().map(|&expert| logits[expert]).collect();
            self.kernels.softmax(&mut shares);
            for (&expert, &share) in chosen.iter().zip(&shares) {
                let (rows, expert_shares) = &mut rows_of_expert[expert];
                rows.push(row);
                expert_shares.push(share);
                all_chosen.push(expert as f32);
                all_shares.push(share);
            }
        }
        tap(layer_idx, TapPoint::RouterIndices, &all_chosen);
        tap(layer_idx, TapPoint::RouterWeights, &all_shares);
        rows_of_expert
    }

    /// Adds one expert's share of its rows to `s.added`.
    fn expert(
        self,
        layer: &Layer,
        expert_idx: usize,
        rows: &[usize],
        shares: &[f32],
        s: &mut Scratch,
    ) {
        let Config { hidden_size, intermediate_size, swiglu_limit, .. } = *self.config;
        let expert_in = sized(&mut s.expert_in, rows.len() * hidden_size);
        gather(&s.normed, rows, hidden_size, expert_in);
        let (matrix, bias) = layer.gate_up.expert(expert_idx);
        let gate_up = sized(&mut s.gate_up, rows.len() * 2 * intermediate_size);
        self.kernels.matmul(self.pool, &s.expert_in, &matrix, Some(bias), gate_up);
        let inner = sized(&mut s.inner, rows.len() * intermediate_size);
        for_chunks(self.pool, inner, intermediate_size, &|row, inner| {
            let gate_up = &gate_up[row * 2 * intermediate_size..][..2 * intermediate_size];
            self.kernels.swiglu(gate_up, swiglu_limit, inner);
        });
        let (matrix, bias) = layer.down.expert(expert_idx);
        let out = sized(&mut s.expert_out, rows.len() * hidden_size);
        self.kernels.matmul(self.pool, &s.inner, &matrix, Some(bias), out);
        for ((&row, &share), out) in rows.iter().zip(shares).zip(out.chunks_exact(hidden_size)) {
            let added = &mut s.added[row * hidden_size..][..hidden_size];
            self.kernels.add_scaled(added, share, out);
        }
    }

    fn norm(self, x: &[f32], weight: &[f32], out: &mut Vec<f32>) {
        let width = weight.len();
        let rows = sized(out, x.len()).chunks_exact_mut(width);
        for (row, out) in x.chunks_exact(width).zip(rows) {
            self.kernels.rms_norm(row, weight, self.config.rms_norm_eps, out);
        }
    }

    fn linear(self, x: &[f32], linear: &Linear, out: &mut Vec<f32>) {
        let matrix = linear.weight.matrix();
        let out = sized(out, x.len() / matrix.n_in() * matrix.n_out());
        self.kernels.matmul(self.pool, x, &matrix, Some(&linear.bias), out);
    }

    /// Turns every head of every row by the angle of the row's position.
    fn rotate(self, x: &mut [f32], n_heads: usize, cos: &[f32], sin: &[f32]) {
        let head_dim = self.config.head_dim;
        let angles = cos.chunks_exact(head_dim / 2).zip(sin.chunks_exact(head_dim / 2));
        for (row, (cos, sin)) in x.chunks_exact_mut(n_heads * head_dim).zip(angles) {
            for head in row.chunks_exact_mut(head_dim) {
                self.kernels.rope(head, cos, sin);
            }
        }
    }
}

/// The buffer as `n` zeros.
fn sized(buffer: &mut Vec<f32>, n: usize) -> &mut [f32] {
    buffer.clear();
    buffer.resize(n, 0.0);
    buffer
}

/// Copies the rows of `x` `[.., width]` that `rows` names into `out`, in that order.
fn gather(x: &[f32], rows: &[usize], width: usize, out: &mut [f32]) {
    for (&row, out) in rows.iter().zip(out.chunks_exact_mut(width)) {
        out.copy_from_slice(&x[row * width..][..width]);
    }
}
