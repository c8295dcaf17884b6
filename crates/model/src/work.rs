//! What a forward pass costs: bytes that must be read, products that must be summed.

use kernels::{Arithmetic, Matrix};

use crate::Model;
use crate::config::Config;
use crate::kv::{BLOCK_LEN, KvShape};

/// Products of a kind that are summed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sums {
    /// How exactly.
    pub arithmetic: Arithmetic,
    /// Operations; a multiplication and an addition are two.
    pub flops: f64,
}

impl Sums {
    fn of(w: &Matrix<'_>, arithmetic: Arithmetic, n_times: usize) -> Sums {
        let flops = 2.0 * (w.n_out() * w.n_in() * n_times) as f64;
        Sums { arithmetic: w.way(arithmetic), flops }
    }
}

/// The work of a network, counted from its tensors as they are stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// Bytes that every step reads: attention, routers, head.
    pub dense_bytes: f64,
    /// Bytes of one expert in all layers.
    pub expert_bytes: f64,
    /// Experts of a layer, and how many of them a token uses.
    pub n_experts: (usize, usize),
    /// Products of a token up to the head, attention's own left out.
    pub body: Vec<Sums>,
    /// Those of the head.
    pub head: Sums,
    config: Config,
}

impl Work {
    /// Counts the work of a model whose products are computed in `arithmetic`.
    pub fn of(model: &Model, arithmetic: Arithmetic) -> Work {
        let (config, weights) = (model.config().clone(), model.weights());
        let (n_layers, n_used) = (config.num_hidden_layers, config.num_experts_per_tok);
        let layer = weights.layers.first().expect("a network has layers");
        let dense = [&layer.q, &layer.k, &layer.v, &layer.o].map(|dense| weights.dense(dense));
        let router = weights.dense(&layer.router);
        let experts = [&layer.gate_up, &layer.down].map(|experts| weights.expert(experts, 0));
        let head = weights.dense(&weights.head);
        let bytes =
            |some: &[Matrix<'_>]| some.iter().map(Matrix::n_bytes).sum::<usize>() * n_layers;
        let mut body = vec![Sums::of(&router, Arithmetic::Exact, n_layers)];
        body.extend(dense.iter().map(|w| Sums::of(w, arithmetic, n_layers)));
        body.extend(experts.iter().map(|w| Sums::of(w, arithmetic, n_layers * n_used)));
        Work {
            dense_bytes: (bytes(&dense) + bytes(&[router]) + head.n_bytes()) as f64,
            expert_bytes: bytes(&experts) as f64,
            n_experts: (config.num_local_experts, n_used),
            body,
            head: Sums::of(&head, arithmetic, 1),
            config,
        }
    }

    /// Bytes that a step of `n_rows` tokens reads, if every choice of experts is as likely as every other.
    pub fn step_bytes(&self, n_rows: usize) -> f64 {
        let (n_experts, n_used) = (self.n_experts.0 as f64, self.n_experts.1 as f64);
        let missed = (1.0 - n_used / n_experts).powi(n_rows.try_into().unwrap_or(i32::MAX));
        self.dense_bytes + n_experts * (1.0 - missed) * self.expert_bytes
    }

    /// Bytes of keys and values that whoever continues a prefix of `n_tokens` reads.
    pub fn prefix_bytes(&self, n_tokens: usize) -> usize {
        KvShape::of(&self.config).prefix_bytes(n_tokens / BLOCK_LEN)
    }

    /// Attention's products for a token that sees `context` positions.
    pub fn attention(&self, context: usize) -> Sums {
        let config = &self.config;
        let seen =
            |&slides: &bool| if slides { context.min(config.sliding_window) } else { context };
        let positions: usize = config.is_sliding.iter().map(seen).sum();
        let flops = 4.0 * (config.num_attention_heads * config.head_dim * positions) as f64;
        Sums { arithmetic: Arithmetic::Exact, flops }
    }
}
