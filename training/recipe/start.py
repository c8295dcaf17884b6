"""The first weights: token vectors from co-occurrence, and attention that begins by comparing content.

Both shorten the way to the matching skill: words of one meaning start near each other, and full-attention
layers start by looking at like tokens (mimetic initialisation, Trockman and Kolter 2023).
"""

from __future__ import annotations

from collections import Counter
from typing import Iterable

import torch
from torch import Tensor

from .network import Network
from .tokens import Coder

REACH = 6
SEMANTIC, SINGULAR = 0.8, 0.6


def token_vectors(coder: Coder, texts: Iterable[str], width: int) -> Tensor:
    """[vocab, width] of unit rows: positive pointwise mutual information, reduced by singular values."""
    pairs: Counter = Counter()
    for text in texts:
        ids = coder._run(text)
        for at, left in enumerate(ids):
            for right in ids[at + 1 : at + 1 + REACH]:
                pairs[(left, right)] += 1
                pairs[(right, left)] += 1
    size = coder.vocab_size
    counts = torch.zeros(size, size)
    index = torch.tensor(list(pairs.keys())).T
    counts[index[0], index[1]] = torch.tensor(list(pairs.values()), dtype=torch.float32)
    total, row = counts.sum(), counts.sum(1, keepdim=True).clamp_min(1)
    smooth = row.squeeze(1) ** 0.75
    expected = row * (smooth / smooth.sum()) 
    ppmi = torch.log((counts / expected).clamp_min(1.0))
    u, s, _ = torch.svd_lowrank(ppmi, q=width, niter=4)
    vectors = u * s.sqrt()
    vectors = vectors - vectors.mean(0)
    return torch.nn.functional.normalize(vectors, dim=-1)


def shared_by_spelling(coder: Coder, vectors: Tensor) -> Tensor:
    """Tokens that differ only in case or a leading space take the mean of their vectors."""
    groups: dict[str, list[int]] = {}
    for token in range(coder.ordinary):
        plain = coder.tokenizer.decode([token]).strip().lower()
        if plain:
            groups.setdefault(plain, []).append(token)
    out = vectors.clone()
    for members in groups.values():
        out[members] = torch.nn.functional.normalize(vectors[members].mean(0), dim=-1)
    spelled = torch.zeros_like(vectors)
    for members in groups.values():
        spelled[members] = torch.randn(vectors.shape[1])
    lone = spelled.abs().sum(-1) == 0
    spelled[lone] = torch.randn(int(lone.sum()), vectors.shape[1])
    own = torch.nn.functional.normalize(0.7 * spelled + 0.5 * torch.randn_like(spelled), dim=-1)
    return SEMANTIC * out + SINGULAR * own


@torch.no_grad()
def begin(network: Network, coder: Coder, texts: Iterable[str]) -> None:
    shape = network.shape
    vectors = shared_by_spelling(coder, token_vectors(coder, texts, shape.hidden_size))
    vectors = vectors * (shape.hidden_size**0.5 / vectors.norm(dim=-1, keepdim=True).mean())
    network.embed.weight.copy_(vectors)
    network.head.weight.copy_(vectors / shape.hidden_size**0.5 * 0.5)
    for at, block in enumerate(network.layers):
        attention = block.self_attn
        residual = (2 * shape.n_layers) ** -0.5
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj):
            torch.nn.init.normal_(projection.weight, std=shape.hidden_size**-0.5)
            torch.nn.init.zeros_(projection.bias)
        attention.o_proj.weight.mul_(residual)
        block.mlp.down.mul_(residual)
        if not shape.is_sliding(at):
            compare_content(network, at)
        else:
            look_back(network, at)


def compare_content(network: Network, layer: int) -> None:
    """Queries and keys start equal on the slowly turning dimensions: like looks at like."""
    shape, attention = network.shape, network.layers[layer].self_attn
    half, d = shape.head_dim // 2, shape.head_dim
    slow = (network.inverse * 1500 < 0.8).nonzero().squeeze(1)
    rows = torch.cat((slow, slow + half))
    group = shape.n_heads // shape.n_kv_heads
    for kv in range(shape.n_kv_heads):
        plane = torch.nn.init.orthogonal_(torch.empty(len(rows), shape.hidden_size))
        attention.k_proj.weight[kv * d + rows] = plane * 2.0
        for head in range(kv * group, (kv + 1) * group):
            attention.q_proj.weight[head * d + rows] = plane * 2.0


def look_back(network: Network, layer: int) -> None:
    """Half of the sliding heads start by looking at the few tokens before, whatever they are."""
    shape, attention = network.shape, network.layers[layer].self_attn
    half, d = shape.head_dim // 2, shape.head_dim
    for head in range(0, shape.n_heads, 2):
        back = 1 + (head // 2) % 2
        kv = head // (shape.n_heads // shape.n_kv_heads)
        angle = network.inverse * back
        attention.q_proj.weight[head * d : (head + 1) * d].mul_(0.3)
        attention.q_proj.bias[head * d : head * d + half] = angle.cos() * 1.2
        attention.q_proj.bias[head * d + half : (head + 1) * d] = -angle.sin() * 1.2
        attention.k_proj.bias[kv * d : kv * d + half] = 1.2
        attention.k_proj.bias[kv * d + half : (kv + 1) * d] = 0.0


# Which tokens end a rule's code: numbers and the letter of a safe rule.
CODE_ENDS = [str(number) for number in range(13)] + [f".{letter}" for letter in "abcdefghijkl"]


@torch.no_grad()
def wire_reading(network: Network, coder: Coder) -> None:
    """Gives the first two layers a start at reading a list of rules.

    Layer 0, first key head: every token looks back to the nearest code, so that a rule's words know whose
    words they are. Layer 1, first key head: a word looks at the same word elsewhere and takes the code
    that is known there. Training refines both, as it does all other weights.
    """
    width = network.shape.head_dim
    hidden = network.shape.hidden_size
    read = torch.nn.init.orthogonal_(torch.empty(width, hidden))
    shadow = torch.nn.init.orthogonal_(torch.empty(width, hidden))
    gather, fetch = network.layers[0].self_attn, network.layers[1].self_attn
    look_for_codes(network, coder, gather)
    look_for_likes(network, fetch, shadow)
    group = network.shape.n_heads // network.shape.n_kv_heads
    for attention, source, target in ((gather, read, shadow), (fetch, shadow, read)):
        attention.v_proj.weight[:width] = source
        attention.v_proj.bias[:width] = 0
        for head in range(group):
            attention.o_proj.weight[:, head * width : (head + 1) * width] = target.T * (0.7 / group)


def look_for_codes(network: Network, coder: Coder, attention) -> None:
    """Keys answer on tokens that end a code, and more so when they are near."""
    shape = network.shape
    d, half = shape.head_dim, shape.head_dim // 2
    x = network.embed.weight
    x = x / x.pow(2).mean(-1, keepdim=True).sqrt()
    wanted = torch.zeros(x.shape[0])
    for word in CODE_ENDS:
        ids = coder._run(word)
        if len(ids) == 1:
            wanted[ids[0]] = 1.0
    balance = torch.where(wanted > 0, 40.0, 1.0)
    gram = (x * balance[:, None]).T @ x + 30.0 * torch.eye(shape.hidden_size)
    direction = torch.linalg.solve(gram, (x * balance[:, None]).T @ wanted)
    slow = (network.inverse * 1500 < 0.8).nonzero().squeeze(1)
    near = ((network.inverse > 1 / 70) & (network.inverse < 1 / 12)).nonzero().squeeze(1)
    scale = network.rope_scale**2 * d**-0.5
    strength = (14.0 / (scale * 2 * len(slow))) ** 0.5
    nearness = (6.0 / (scale * len(near))) ** 0.5
    attention.k_proj.weight[:d] = 0
    attention.k_proj.bias[:d] = 0
    rows = torch.cat((slow, slow + half))
    attention.k_proj.weight[rows] = direction * strength
    attention.k_proj.bias[near] = nearness
    for head in range(shape.n_heads // shape.n_kv_heads):
        attention.q_proj.weight[head * d : (head + 1) * d] *= 0.1
        attention.q_proj.bias[head * d : (head + 1) * d] = 0
        attention.q_proj.bias[head * d + rows] = strength
        attention.q_proj.bias[head * d + near] = nearness


def look_for_likes(network: Network, attention, shadow: Tensor) -> None:
    """Keys answer on the same word, but not on near ones: a word itself and its neighbours do not count."""
    shape = network.shape
    d, half = shape.head_dim, shape.head_dim // 2
    slow = (network.inverse * 1500 < 0.8).nonzero().squeeze(1)
    near = ((network.inverse > 1 / 90) & (network.inverse < 1 / 12)).nonzero().squeeze(1)
    rows = torch.cat((slow, slow + half))
    # What layer 0 wrote is no part of a word's identity.
    free = torch.eye(shape.hidden_size) - shadow.T @ shadow
    plane = torch.nn.init.orthogonal_(torch.empty(len(rows), shape.hidden_size)) @ free * 2.4
    farness = (14.0 / (network.rope_scale**2 * d**-0.5 * len(near))) ** 0.5
    for projection, heads, sign in ((attention.k_proj, 1, 1.0), (attention.q_proj, shape.n_heads // shape.n_kv_heads, -1.0)):
        for head in range(heads):
            projection.weight[head * d : (head + 1) * d] = 0
            projection.bias[head * d : (head + 1) * d] = 0
            projection.weight[head * d + rows] = plane
            projection.bias[head * d + near] = sign * farness
