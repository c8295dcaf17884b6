"""Writes a checkpoint in the published layout: MXFP4 experts, everything else bfloat16."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from . import mxfp4
from .network import Network, Shape
from .tokens import Coder

MAX_POSITIONS = 16384


def export(network: Network, coder: Coder, tokenizer_path: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    save_file(tensors(network), out / "model.safetensors", metadata={"format": "pt"})
    write_json(out / "config.json", config(network.shape, coder))
    write_json(out / "generation_config.json", generation_config(coder))
    shutil.copyfile(tokenizer_path, out / "tokenizer.json")


def tensors(network: Network) -> dict[str, Tensor]:
    state = network.state_dict()
    out = {
        "model.embed_tokens.weight": state["embed.weight"],
        "model.norm.weight": state["norm.weight"],
        "lm_head.weight": state["head.weight"],
    }
    for at in range(network.shape.n_layers):
        source, target = f"layers.{at}.", f"model.layers.{at}."
        for name in ("input_layernorm.weight", "post_attention_layernorm.weight", "self_attn.sinks"):
            out[target + name] = state[source + name]
        for projection in ("q_proj", "k_proj", "v_proj", "o_proj"):
            for part in ("weight", "bias"):
                out[f"{target}self_attn.{projection}.{part}"] = state[f"{source}self_attn.{projection}.{part}"]
        for part in ("weight", "bias"):
            out[f"{target}mlp.router.{part}"] = state[f"{source}mlp.router.{part}"]
        for ours, theirs in (("gate_up", "gate_up_proj"), ("down", "down_proj")):
            weight, bias = state[f"{source}mlp.{ours}"], state[f"{source}mlp.{ours}_bias"]
            if ours == "gate_up":
                weight, bias = alternating(weight), alternating(bias)
            blocks, scales = mxfp4.packed(weight)
            out[f"{target}mlp.experts.{theirs}_blocks"] = blocks.contiguous()
            out[f"{target}mlp.experts.{theirs}_scales"] = scales.contiguous()
            out[f"{target}mlp.experts.{theirs}_bias"] = bias
    packed = lambda name: name.endswith(("_blocks", "_scales"))
    return {name: tensor if packed(name) else tensor.to(torch.bfloat16).contiguous() for name, tensor in out.items()}


def alternating(rows: Tensor) -> Tensor:
    """`rows` [experts, gates then ups, ...] as gate, up, gate, up."""
    gate, up = rows.chunk(2, 1)
    return torch.stack((gate, up), 2).flatten(1, 2)


def config(shape: Shape, coder: Coder) -> dict:
    kinds = ["sliding_attention" if shape.is_sliding(at) else "full_attention" for at in range(shape.n_layers)]
    return {
        "architectures": ["GptOssForCausalLM"],
        "model_type": "gpt_oss",
        "attention_bias": True,
        "eos_token_id": coder.control["<|return|>"],
        "pad_token_id": coder.control["<|endoftext|>"],
        "head_dim": shape.head_dim,
        "hidden_act": "silu",
        "hidden_size": shape.hidden_size,
        "initial_context_length": shape.yarn_original,
        "intermediate_size": shape.intermediate_size,
        "layer_types": kinds,
        "max_position_embeddings": MAX_POSITIONS,
        "num_attention_heads": shape.n_heads,
        "num_experts_per_tok": shape.experts_per_token,
        "num_hidden_layers": shape.n_layers,
        "num_key_value_heads": shape.n_kv_heads,
        "num_local_experts": shape.n_experts,
        "quantization_config": {
            "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"],
            "quant_method": "mxfp4",
        },
        "rms_norm_eps": shape.norm_eps,
        "rope_scaling": {
            "beta_fast": shape.yarn_beta_fast,
            "beta_slow": shape.yarn_beta_slow,
            "factor": shape.yarn_factor,
            "original_max_position_embeddings": shape.yarn_original,
            "rope_type": "yarn",
            "truncate": False,
        },
        "rope_theta": shape.rope_theta,
        "sliding_window": shape.window,
        "swiglu_limit": 7.0,
        "tie_word_embeddings": False,
        "vocab_size": shape.vocab_size,
    }


def generation_config(coder: Coder) -> dict:
    stops = [coder.control[name] for name in ("<|return|>", "<|endoftext|>", "<|call|>")]
    return {
        "bos_token_id": coder.control["<|startoftext|>"],
        "pad_token_id": coder.control["<|endoftext|>"],
        "eos_token_id": stops,
        "do_sample": False,
    }


def write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")
