//! What a forward pass costs: bytes that must be read, products that must be summed.

use crate::Model;
use crate::config::Config;

/// The work of a network, counted from its tensors as they are stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// Bytes that every step reads: attention, routers, head.
    pub dense_bytes: f64,
    /// Bytes of one expert in all layers.
    pub expert_bytes: f64,
    /// Experts of a layer, and how many of them a token uses.
    pub n_experts: (usize, usize),
    /// Floating point operations of a token up to the head, attention's sums left out; a multiplication and an
    /// addition are two.
    pub body_flops: f64,
    /// The same of the head.
    pub head_flops: f64,
    /// Bytes of keys and values that a position takes in all layers.
    pub position_bytes: usize,
    config: Config,
}

impl Work {
    /// Counts the work of a model.
    pub fn of(model: &Model) -> Work {
        let (config, weights) = (model.config().clone(), model.weights());
        let n_layers = config.num_hidden_layers as f64;
        let layer = weights.layers.first().expect("a network has layers");
        let dense = [&layer.q, &layer.k, &layer.v, &layer.o, &layer.router];
        let experts = [&layer.gate_up, &layer.down];
        let dense_params: usize =
            dense.iter().map(|&d| weights.dense(d)).map(|m| m.n_out() * m.n_in()).sum();
        let expert_params: usize =
            experts.iter().map(|&e| weights.expert(e, 0)).map(|m| m.n_out() * m.n_in()).sum();
        let dense_bytes: usize = dense.iter().map(|&d| weights.dense(d).n_bytes()).sum();
        let expert_bytes: usize = experts.iter().map(|&e| weights.expert(e, 0).n_bytes()).sum();
        let head = weights.dense(&weights.head);
        let n_used = config.num_experts_per_tok;
        Work {
            dense_bytes: dense_bytes as f64 * n_layers + head.n_bytes() as f64,
            expert_bytes: expert_bytes as f64 * n_layers,
            n_experts: (config.num_local_experts, n_used),
            body_flops: 2.0 * n_layers * (dense_params + n_used * expert_params) as f64,
            head_flops: 2.0 * (head.n_out() * head.n_in()) as f64,
            position_bytes: crate::kv::KvBlock::bytes(&config) / crate::kv::BLOCK_LEN,
            config,
        }
    }

    /// Bytes that a step of `n_rows` tokens reads, if every choice of experts is as likely as every other.
    pub fn step_bytes(&self, n_rows: usize) -> f64 {
        let (n_experts, n_used) = (self.n_experts.0 as f64, self.n_experts.1 as f64);
        let missed = (1.0 - n_used / n_experts).powi(n_rows.try_into().unwrap_or(i32::MAX));
        self.dense_bytes + n_experts * (1.0 - missed) * self.expert_bytes
    }

    /// Operations of attention's sums for a token that sees `context` positions.
    pub fn attention_flops(&self, context: usize) -> f64 {
        let config = &self.config;
        let seen =
            |&slides: &bool| if slides { context.min(config.sliding_window) } else { context };
        let positions: usize = config.is_sliding.iter().map(seen).sum();
        4.0 * (config.num_attention_heads * config.head_dim * positions) as f64
    }
}
