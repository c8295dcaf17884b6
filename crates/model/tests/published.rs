//! The configurations that are published, and what follows from them.

use std::path::Path;

use model::{Config, ExpertFormat, Rope};
use serde_json::{Value, json};

/// `config.json` of gpt-oss-20b; the 120b differs in two numbers.
fn published(n_layers: usize, n_experts: usize) -> Value {
    let kinds = ["sliding_attention", "full_attention"];
    json!({
        "architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss",
        "attention_bias": true, "attention_dropout": 0.0, "eos_token_id": 200002,
        "experts_per_token": 4, "head_dim": 64, "hidden_act": "silu", "hidden_size": 2880,
        "initial_context_length": 4096, "initializer_range": 0.02, "intermediate_size": 2880,
        "layer_types": (0..n_layers).map(|n| kinds[n % 2]).collect::<Vec<_>>(),
        "max_position_embeddings": 131072, "num_attention_heads": 64, "num_experts_per_tok": 4,
        "num_hidden_layers": n_layers, "num_key_value_heads": 8, "num_local_experts": n_experts,
        "output_router_logits": false, "pad_token_id": 199999,
        "quantization_config": {
            "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router",
                "model.embed_tokens", "lm_head"],
            "quant_method": "mxfp4"
        },
        "rms_norm_eps": 1e-05,
        "rope_scaling": {"beta_fast": 32.0, "beta_slow": 1.0, "factor": 32.0,
            "original_max_position_embeddings": 4096, "rope_type": "yarn", "truncate": false},
        "rope_theta": 150000, "router_aux_loss_coef": 0.9, "sliding_window": 128,
        "swiglu_limit": 7.0, "tie_word_embeddings": false, "use_cache": true, "vocab_size": 201088
    })
}

fn read(config: &Value) -> Config {
    Config::from_json(config.to_string().as_bytes(), Path::new("config.json"))
        .expect("published files are sound")
}

#[test]
fn both_sizes_read() {
    for (n_layers, n_experts) in [(24, 32), (36, 128)] {
        let config = read(&published(n_layers, n_experts));
        assert_eq!((config.num_hidden_layers, config.num_local_experts), (n_layers, n_experts));
        assert_eq!((config.hidden_size, config.intermediate_size), (2880, 2880));
        assert_eq!((config.group_size(), config.kv_width()), (8, 512));
        assert_eq!(config.is_sliding.iter().filter(|&&slides| slides).count(), n_layers / 2);
        assert!(config.is_sliding[0]);
        assert_eq!(config.eos_tokens, [200_002]);
        assert_eq!(config.experts, ExpertFormat::Mxfp4);
    }
}

/// transformers' own frequencies for this configuration, in float32.
#[test]
fn the_rotary_table_is_that_of_transformers() {
    const INVERSE: [f32; 32] = [
        1.0,
        6.890443e-1,
        4.7478205e-1,
        3.2714587e-1,
        2.25418e-1,
        1.5532298e-1,
        1.07024424e-1,
        7.3744565e-2,
        5.0813273e-2,
        3.1705696e-2,
        1.9335e-2,
        1.1592049e-2,
        6.7949593e-3,
        3.860359e-3,
        2.0937927e-3,
        1.0526022e-3,
        4.5648392e-4,
        1.293187e-4,
        3.830881e-5,
        2.6396468e-5,
        1.8188337e-5,
        1.253257e-5,
        8.635496e-6,
        5.9502395e-6,
        4.0999785e-6,
        2.8250668e-6,
        1.9465963e-6,
        1.341291e-6,
        9.2420896e-7,
        6.368209e-7,
        4.3879785e-7,
        3.0235114e-7,
    ];
    let config = read(&published(24, 32));
    let rope = Rope::new(&config.rope, config.head_dim);
    for (pair, (found, expected)) in rope.inverse_frequencies().iter().zip(INVERSE).enumerate() {
        assert!((found / expected - 1.0).abs() < 2e-6, "pair {pair}: {found}, not {expected}");
    }
    // The factor on both is 0.1 ln(32) + 1.
    let (mut cos, mut sin) = (Vec::new(), Vec::new());
    rope.push_row(0, &mut cos, &mut sin);
    assert!(cos.iter().all(|cos| (cos - 1.346_573_6).abs() < 1e-6));
    assert!(sin.iter().all(|&sin| sin == 0.0));
}
