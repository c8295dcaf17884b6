//! The forward pass: tokens of many sequences in, logits out.
//!
//! Rows of all segments are computed together, and every row's numbers are what they would be alone:
//! each sum's order depends on the row's own length only (see `kernels`).

use std::sync::Arc;

use kernels::{Arithmetic, Kernels, Pool, Product, Run};

use crate::Model;
use crate::buffers::{Buffer, Buffers};
use crate::config::Config;
use crate::error::ModelError;
use crate::head::Head;
pub use crate::head::{LogitRows, Logits};
use crate::kv::{BLOCK_LEN, KvShape, KvTable, Place};
use crate::weights::{Dense, Experts, Layer};

/// Tokens that continue one sequence.
#[derive(Debug)]
pub struct Segment<'a> {
    /// The tokens at positions `kv.len..`.
    pub tokens: &'a [u32],
    /// The positions before, with blocks for the new ones too; its length grows by the tokens.
    pub kv: &'a mut KvTable,
    /// For which tokens logits are wanted.
    pub logits: LogitRows<'a>,
}

/// Sees every activation: its layer (`None` before the first and after the last), its name, its rows.
pub type Tap<'a> = &'a mut dyn FnMut(Option<usize>, &'static str, &[f32]);

/// A model with kernels and threads to run it.
pub struct Forward {
    model: Arc<Model>,
    kernels: Kernels,
    pool: Pool,
    arithmetic: Arithmetic,
    buffers: Buffers,
}

/// What all layers of one pass need to know about its rows.
struct Rows {
    /// For each row: its segment and its position.
    places: Vec<(usize, usize)>,
    /// `[n_rows, head_dim / 2]`
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Forward {
    /// Puts a model to work. Routers are computed exactly in any arithmetic: they decide which experts there are
    /// to be rounded.
    pub fn new(model: Arc<Model>, kernels: Kernels, pool: Pool, arithmetic: Arithmetic) -> Forward {
        Forward { model, kernels, pool, arithmetic, buffers: Buffers::default() }
    }

    /// Computes all segments' tokens and extends their tables.
    ///
    /// # Errors
    /// [`ModelError::Token`], [`ModelError::Position`], [`ModelError::SlidBlock`] or [`ModelError::SharedBlock`]; then
    /// no table's length has changed.
    pub fn run(&self, segments: &mut [Segment<'_>]) -> Result<Logits, ModelError> {
        self.run_tapped(segments, &mut |_, _, _| {})
    }

    /// As [`Forward::run`], showing every activation to `tap`.
    ///
    /// # Errors
    /// As [`Forward::run`].
    pub fn run_tapped(
        &self,
        segments: &mut [Segment<'_>],
        tap: Tap<'_>,
    ) -> Result<Logits, ModelError> {
        check(segments, self.model.config())?;
        let rows = self.rows(segments);
        let mut x = self.embed(segments);
        tap(None, "embed", &x);
        for layer in 0..self.model.weights().layers.len() {
            self.attention(layer, &mut x, &rows, segments, tap)?;
            self.experts(layer, &mut x, tap);
            tap(Some(layer), "out", &x);
        }
        for segment in segments.iter_mut() {
            segment.kv.len += segment.tokens.len();
        }
        Ok(self.logits(&x, segments, tap))
    }

    fn rows(&self, segments: &[Segment<'_>]) -> Rows {
        let mut rows = Rows { places: Vec::new(), cos: Vec::new(), sin: Vec::new() };
        for (segment_idx, segment) in segments.iter().enumerate() {
            for position in segment.kv.len..segment.kv.len + segment.tokens.len() {
                rows.places.push((segment_idx, position));
                self.model.rope().push_row(position, &mut rows.cos, &mut rows.sin);
            }
        }
        rows
    }

    fn embed(&self, segments: &[Segment<'_>]) -> Vec<f32> {
        let weights = self.model.weights();
        let table = weights.dense(&weights.embed);
        let hidden = self.model.config().hidden_size;
        let tokens = segments.iter().flat_map(|segment| segment.tokens);
        let mut x = vec![0.0; tokens.clone().count() * hidden];
        for (row, &token) in x.chunks_exact_mut(hidden).zip(tokens) {
            self.kernels.unpack_rows(&table, token as usize, row);
        }
        x
    }

    /// `x += o(attention(norm(x)))`
    fn attention(
        &self,
        layer_idx: usize,
        x: &mut [f32],
        rows: &Rows,
        segments: &mut [Segment<'_>],
        tap: Tap<'_>,
    ) -> Result<(), ModelError> {
        let layer = &self.model.weights().layers[layer_idx];
        let h = self.norm(x, &layer.attn_norm);
        tap(Some(layer_idx), "attn_norm", &h);
        let [mut q, mut k, v] = self.products(&h, [&layer.q, &layer.k, &layer.v], self.arithmetic);
        for (name, values) in [("q", &q), ("k", &k), ("v", &v)] {
            tap(Some(layer_idx), name, values);
        }
        self.rotate(&mut q, rows);
        self.rotate(&mut k, rows);
        self.store(layer_idx, &k, &v, rows, segments)?;
        let heads = self.heads(layer_idx, layer, &q, rows, segments);
        tap(Some(layer_idx), "attn_heads", &heads);
        let [out] = self.products(&heads, [&layer.o], self.arithmetic);
        tap(Some(layer_idx), "attn_out", &out);
        add(x, &out);
        Ok(())
    }

    fn rotate(&self, heads: &mut [f32], rows: &Rows) {
        let half = self.model.config().head_dim / 2;
        let n_heads = heads.len() / rows.places.len() / (2 * half);
        for (at, head) in heads.chunks_exact_mut(2 * half).enumerate() {
            let row = at / n_heads * half;
            self.kernels.rope(head, &rows.cos[row..][..half], &rows.sin[row..][..half]);
        }
    }

    fn store(
        &self,
        layer: usize,
        k: &[f32],
        v: &[f32],
        rows: &Rows,
        segments: &mut [Segment<'_>],
    ) -> Result<(), ModelError> {
        let (place, width) =
            (Place::of(self.model.config(), layer), self.model.config().kv_width());
        let pairs = k.chunks_exact(width).zip(v.chunks_exact(width));
        for (&(segment_idx, position), (key, value)) in rows.places.iter().zip(pairs) {
            let block_idx = position / BLOCK_LEN;
            let block = &mut segments[segment_idx].kv.blocks[block_idx];
            if !block.write(place, position % BLOCK_LEN, key, value) {
                return Err(ModelError::SharedBlock { block_idx });
            }
        }
        Ok(())
    }

    /// The mixed values of all heads, `[n_rows, heads * head_dim]`.
    ///
    /// All rows are taken head by head: those that share a prefix read it from the nearest cache.
    fn heads(
        &self,
        layer_idx: usize,
        layer: &Layer,
        q: &[f32],
        rows: &Rows,
        segments: &[Segment<'_>],
    ) -> Buffer<'_> {
        let config = self.model.config();
        let (n_rows, n_kv_heads) = (rows.places.len(), config.num_key_value_heads);
        let (group, width) = (config.group_size(), config.group_size() * config.head_dim);
        let scale = 1.0 / (config.head_dim as f32).sqrt();
        let window = if config.is_sliding[layer_idx] { config.sliding_window } else { usize::MAX };
        let place = Place::of(config, layer_idx);
        let mut mixed = self.buffers.zeros(q.len());
        self.pool.for_chunks(&mut mixed, width, &|part, out| {
            let (kv_head, row) = (part / n_rows, part % n_rows);
            let (segment_idx, position) = rows.places[row];
            let first = (position + 1).saturating_sub(window);
            let runs = runs(segments[segment_idx].kv, place, kv_head, first, position);
            let q = &q[(row * n_kv_heads + kv_head) * width..][..width];
            let sinks = &layer.sinks[kv_head * group..][..group];
            self.kernels.attend(q, scale, &runs, sinks, &mut Vec::new(), out);
        });
        let mut out = self.buffers.zeros(q.len());
        self.pool.for_chunks(&mut out, width, &|at, out| {
            let (row, kv_head) = (at / n_kv_heads, at % n_kv_heads);
            out.copy_from_slice(&mixed[(kv_head * n_rows + row) * width..][..width]);
        });
        out
    }

    /// `x += experts(norm(x))`
    fn experts(&self, layer_idx: usize, x: &mut [f32], tap: Tap<'_>) {
        let layer = &self.model.weights().layers[layer_idx];
        let h = self.norm(x, &layer.mlp_norm);
        tap(Some(layer_idx), "mlp_norm", &h);
        let [logits] = self.products(&h, [&layer.router], Arithmetic::Exact);
        tap(Some(layer_idx), "router_logits", &logits);
        let chosen = self.route(&logits, layer_idx, tap);
        let out = self.mix_experts(layer, &chosen, &h);
        tap(Some(layer_idx), "mlp_out", &out);
        add(x, &out);
    }

    /// For each expert, the rows that chose it and the weights they give it.
    fn route(&self, logits: &[f32], layer_idx: usize, tap: Tap<'_>) -> Vec<Vec<(usize, f32)>> {
        let config = self.model.config();
        let (n_experts, n_used) = (config.num_local_experts, config.num_experts_per_tok);
        let mut chosen = vec![Vec::new(); n_experts];
        let (mut indices, mut weights) = (Vec::new(), Vec::new());
        for (row, logits) in logits.chunks_exact(n_experts).enumerate() {
            let top = largest(logits, n_used);
            let mut shares: Vec<f32> = top.iter().map(|&expert| logits[expert]).collect();
            self.kernels.softmax(&mut shares);
            for (&expert, &share) in top.iter().zip(&shares) {
                chosen[expert].push((row, share));
                indices.push(expert as f32);
                weights.push(share);
            }
        }
        tap(Some(layer_idx), "router_indices", &indices);
        tap(Some(layer_idx), "router_weights", &weights);
        chosen
    }

    /// What the chosen experts make of `h`, weighted.
    fn mix_experts(&self, layer: &Layer, chosen: &[Vec<(usize, f32)>], h: &[f32]) -> Buffer<'_> {
        let config = self.model.config();
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let row_of: Vec<usize> = chosen.iter().flatten().map(|&(row, _)| row).collect();
        let mut x = self.buffers.zeros(row_of.len() * hidden);
        self.pool.for_chunks(&mut x, hidden, &|at, out| {
            out.copy_from_slice(&h[row_of[at] * hidden..][..hidden]);
        });
        let gate_up = self.expert_products(&x, &layer.gate_up, chosen);
        let mut gated = self.buffers.zeros(row_of.len() * inner);
        self.pool.for_chunks(&mut gated, inner, &|row, out| {
            let both = &gate_up[row * 2 * inner..][..2 * inner];
            self.kernels.swiglu(both, config.swiglu_limit, out);
        });
        let down = self.expert_products(&gated, &layer.down, chosen);
        // Experts in ascending order, so that a row's sum has the same order in any batch.
        let mut parts_of = vec![Vec::new(); h.len() / hidden];
        for (at, &(row, share)) in chosen.iter().flatten().enumerate() {
            parts_of[row].push((at, share));
        }
        let mut out = self.buffers.zeros(h.len());
        self.pool.for_chunks(&mut out, hidden, &|row, out| {
            for &(at, share) in &parts_of[row] {
                self.kernels.add_scaled(out, share, &down[at * hidden..][..hidden]);
            }
        });
        out
    }

    /// Every expert's product with its own rows of `x`, expert after expert.
    fn expert_products(
        &self,
        x: &[f32],
        experts: &Experts,
        chosen: &[Vec<(usize, f32)>],
    ) -> Buffer<'_> {
        let weights = self.model.weights();
        let n_chosen: usize = chosen.iter().map(Vec::len).sum();
        let mut out = self.buffers.zeros(n_chosen * experts.n_out());
        let mut products = Vec::new();
        let (mut x, mut rest) = (x, &mut *out);
        for (expert, rows) in chosen.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            let w = weights.expert(experts, expert);
            let (own, others) = x.split_at(rows.len() * w.n_in());
            let (target, behind) = std::mem::take(&mut rest).split_at_mut(rows.len() * w.n_out());
            products.push(Product {
                x: own,
                w,
                bias: Some(experts.bias(expert)),
                out: target,
                arithmetic: self.arithmetic,
            });
            (x, rest) = (others, behind);
        }
        self.kernels.matmuls(&self.pool, &mut products);
        drop(products);
        out
    }

    fn logits(&self, x: &[f32], segments: &[Segment<'_>], tap: Tap<'_>) -> Logits {
        let weights = self.model.weights();
        let hidden = self.model.config().hidden_size;
        let (mut wanted, mut wishes) = (Vec::new(), Vec::new());
        let mut end = 0;
        for segment in segments {
            end += segment.tokens.len() * hidden;
            let n_rows = segment.logits.n_rows(segment.tokens.len());
            wanted.extend_from_slice(&x[end - n_rows * hidden..end]);
            wishes.extend(std::iter::repeat_n(segment.logits.few(), n_rows));
        }
        let mut h = vec![0.0; wanted.len()];
        self.norm_into(&wanted, &weights.norm, &mut h);
        tap(None, "final_norm", &h);
        let matrix = weights.dense(&weights.head);
        let (kernels, pool, arithmetic) = (&self.kernels, &self.pool, self.arithmetic);
        Head { kernels, pool, matrix, arithmetic }.logits(h, &wishes)
    }

    fn norm(&self, x: &[f32], weight: &[f32]) -> Buffer<'_> {
        let mut out = self.buffers.zeros(x.len());
        self.norm_into(x, weight, &mut out);
        out
    }

    fn norm_into(&self, x: &[f32], weight: &[f32], out: &mut [f32]) {
        let (eps, width) = (self.model.config().rms_norm_eps, weight.len());
        self.pool.for_chunks(out, width, &|row, out| {
            self.kernels.rms_norm(&x[row * width..][..width], weight, eps, out);
        });
    }

    /// Products of the same rows with several matrices.
    fn products<const N: usize>(
        &self,
        x: &[f32],
        matrices: [&Dense; N],
        arithmetic: Arithmetic,
    ) -> [Buffer<'_>; N] {
        let weights = self.model.weights();
        let mut outs = matrices.map(|dense| {
            let w = weights.dense(dense);
            self.buffers.zeros(x.len() / w.n_in() * w.n_out())
        });
        let mut products = Vec::with_capacity(N);
        for (dense, out) in matrices.into_iter().zip(&mut outs) {
            let w = weights.dense(dense);
            products.push(Product { x, w, bias: dense.bias.as_deref(), out, arithmetic });
        }
        self.kernels.matmuls(&self.pool, &mut products);
        drop(products);
        outs
    }
}

impl std::fmt::Debug for Forward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Forward({:?}, {} threads)", self.kernels, self.pool.n_threads())
    }
}

fn check(segments: &[Segment<'_>], config: &Config) -> Result<(), ModelError> {
    let (vocab_size, shape) = (config.vocab_size, KvShape::of(config));
    for segment in segments {
        let mut tokens = segment.tokens.iter().chain(segment.logits.few().unwrap_or_default());
        if let Some(&token) = tokens.find(|&&token| token as usize >= vocab_size) {
            return Err(ModelError::Token { token, vocab_size });
        }
        let limit = config.max_position_embeddings.min(segment.kv.blocks.len() * BLOCK_LEN);
        let end = segment.kv.len + segment.tokens.len();
        if end > limit {
            return Err(ModelError::Position { position: end - 1, limit });
        }
        let mut seen = segment.kv.blocks.iter().enumerate().skip(shape.first_seen(segment.kv.len));
        if let Some((block_idx, _)) = seen.find(|(_, block)| block.sliding.is_none()) {
            return Err(ModelError::SlidBlock { block_idx });
        }
    }
    Ok(())
}

/// The keys and values of one head at `first..=last`, block by block.
fn runs(kv: &KvTable, place: Place, kv_head: usize, first: usize, last: usize) -> Vec<Run<'_>> {
    (first / BLOCK_LEN..=last / BLOCK_LEN)
        .map(|block_idx| {
            let (keys, values) = kv.blocks[block_idx].head(place, kv_head);
            Run {
                keys,
                values,
                start: first.saturating_sub(block_idx * BLOCK_LEN),
                end: (last + 1 - block_idx * BLOCK_LEN).min(BLOCK_LEN),
            }
        })
        .collect()
}

/// The indices of the `n` largest values, largest first; of equals the lower index.
fn largest(values: &[f32], n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]).then(a.cmp(&b)));
    order.truncate(n);
    order
}

fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}
