"""The gpt-oss architecture in plain PyTorch, made for training: one shared prefix, many items behind it.

Each item sees the prefix and itself, at the positions it would have alone, so a long policy is computed once
for all its items and the result is what inference computes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import mxfp4

SWIGLU_ALPHA, SWIGLU_LIMIT = 1.702, 7.0
# Packs are padded to multiples of these, so that few shapes of products occur and each is prepared once.
PREFIX_STEP, ITEM_STEP = 64, 8


@dataclass(frozen=True)
class Shape:
    """The numbers of `config.json`; defaults are the built-in model's."""

    vocab_size: int
    hidden_size: int = 256
    n_layers: int = 4
    n_heads: int = 4
    n_kv_heads: int = 2
    head_dim: int = 64
    intermediate_size: int = 128
    n_experts: int = 4
    experts_per_token: int = 2
    window: int = 128
    rope_theta: float = 150000.0
    yarn_factor: float = 32.0
    yarn_original: int = 4096
    yarn_beta_fast: float = 32.0
    yarn_beta_slow: float = 1.0
    norm_eps: float = 1e-5

    def is_sliding(self, layer: int) -> bool:
        return layer % 2 == 0


@dataclass
class Pack:
    """A prefix, then items of one padded length, in one row of tokens.

    `tokens` [padded prefix + n_items * length]; `n_prefix` counts the prefix's own tokens. Padding stands behind
    what it pads, so causality hides it from items, and the mask hides the prefix's.
    """

    tokens: Tensor
    n_prefix: int
    n_padded: int
    n_items: int

    @property
    def length(self) -> int:
        return (len(self.tokens) - self.n_padded) // self.n_items

    def positions(self) -> Tensor:
        """Each item goes on where the prefix ends, as if it were alone."""
        item = torch.arange(self.n_prefix, self.n_prefix + self.length)
        return torch.cat((torch.arange(self.n_padded), item.repeat(self.n_items)))

    def masks(self, window: int | None) -> tuple[Tensor, Tensor]:
        """What is added to scores: [prefix, prefix + sink] and [length, prefix + length + sink]."""
        prefix, item = torch.arange(self.n_padded), torch.arange(self.n_prefix, self.n_prefix + self.length)
        before = torch.where(prefix < self.n_prefix, prefix, FAR)
        return hidden(prefix, prefix, window), hidden(item, torch.cat((before, item)), window)


# A position that no query sees.
FAR = 1 << 30


def hidden(queries: Tensor, keys: Tensor, window: int | None) -> Tensor:
    """Minus infinity where a query does not see a key; the sink behind the keys is always seen."""
    ages = queries[:, None] - keys[None, :]
    unseen = ages < 0
    if window:
        unseen |= ages >= window
    return F.pad(torch.zeros(unseen.shape).masked_fill(unseen, float("-inf")), (0, 1))


def padded(n: int, step: int) -> int:
    return -(-n // step) * step


def inverse_frequencies(shape: Shape) -> tuple[Tensor, float]:
    """YaRN's frequencies and the factor on cosine and sine."""
    d = shape.head_dim
    plain = shape.rope_theta ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)

    def border(rotations: float) -> float:
        return d * math.log(shape.yarn_original / (2 * math.pi * rotations)) / (2 * math.log(shape.rope_theta))

    low, high = max(border(shape.yarn_beta_fast), 0), min(border(shape.yarn_beta_slow), d - 1)
    ramp = ((torch.arange(d // 2, dtype=torch.float64) - low) / max(high - low, 1e-3)).clamp(0, 1)
    inverse = plain * (1 - ramp) + plain / shape.yarn_factor * ramp
    return inverse.float(), 0.1 * math.log(shape.yarn_factor) + 1


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Half-split rotation; `x` [T, heads, d], `cos` and `sin` [T, 1, d/2]."""
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class Attention(nn.Module):
    def __init__(self, shape: Shape, sliding: bool) -> None:
        super().__init__()
        self.shape, self.window = shape, shape.window if sliding else None
        h, d = shape.hidden_size, shape.head_dim
        self.q_proj = nn.Linear(h, shape.n_heads * d)
        self.k_proj = nn.Linear(h, shape.n_kv_heads * d)
        self.v_proj = nn.Linear(h, shape.n_kv_heads * d)
        self.o_proj = nn.Linear(shape.n_heads * d, h)
        self.sinks = nn.Parameter(torch.zeros(shape.n_heads))

    def forward(self, x: Tensor, pack: Pack, rope: tuple[Tensor, Tensor], masks: Masks) -> Tensor:
        s = self.shape
        q = rotate(self.q_proj(x).view(-1, s.n_heads, s.head_dim), *rope) * s.head_dim**-0.5
        k = rotate(self.k_proj(x).view(-1, s.n_kv_heads, s.head_dim), *rope)
        v = self.v_proj(x).view(-1, s.n_kv_heads, s.head_dim)
        p = pack.n_padded
        prefix = self.over_prefix(q[:p], k[:p], v[:p], masks[self.window][0])
        items = self.over_items(q, k, v, pack, masks[self.window][1])
        return self.o_proj(torch.cat((prefix, items), 0))

    def groups(self, q: Tensor) -> Tensor:
        """[T, heads, d] to [kv heads, group * T, d]."""
        s = self.shape
        return q.view(-1, s.n_kv_heads, s.n_heads // s.n_kv_heads, s.head_dim).permute(1, 2, 0, 3).flatten(1, 2)

    def sink(self, rank: int) -> Tensor:
        s = self.shape
        return self.sinks.view(s.n_kv_heads, -1, *([1] * (rank - 2)))

    def over_prefix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        n, n_kv = q.shape[0], self.shape.n_kv_heads
        scores = (self.groups(q) @ k.permute(1, 2, 0)).float().view(n_kv, -1, n, n)
        weights = self.shares([scores], mask)
        mixed = weights[..., :n].flatten(1, 2).to(v.dtype) @ v.transpose(0, 1)
        return mixed.view(n_kv, -1, n, self.shape.head_dim).permute(2, 0, 1, 3).reshape(n, -1)

    def over_items(self, q: Tensor, k: Tensor, v: Tensor, pack: Pack, mask: Tensor) -> Tensor:
        """Each query's scores over the prefix and over its own item, in one softmax."""
        s, p, n, length = self.shape, pack.n_padded, pack.n_items, pack.length
        group = s.n_heads // s.n_kv_heads
        queries = self.groups(q[p:])
        own_k, own_v = (t[p:].view(n, length, s.n_kv_heads, s.head_dim).permute(2, 0, 1, 3) for t in (k, v))
        before = queries @ k[:p].permute(1, 2, 0)
        # [kv, n, group * length, d]: a group's queries share their keys.
        mine = queries.view(s.n_kv_heads, group, n, length, -1).transpose(1, 2).flatten(2, 3)
        own = (mine @ own_k.transpose(-1, -2)).view(s.n_kv_heads, n, group, length, length).transpose(1, 2)
        shape = (s.n_kv_heads, group, n, length)
        weights = self.shares([before.view(*shape, p).float(), own.float()], mask).to(v.dtype)
        over_before = weights[..., :p].flatten(1, 3) @ v[:p].transpose(0, 1)
        mine = weights[..., p : p + length].transpose(1, 2).flatten(2, 3)
        over_own = (mine @ own_v).view(s.n_kv_heads, n, group, length, -1).transpose(1, 2)
        mixed = over_before.view(*shape, -1) + over_own
        return mixed.permute(2, 3, 0, 1, 4).reshape(n * length, -1)

    def shares(self, scores: list[Tensor], mask: Tensor) -> Tensor:
        """Softmax over all scores and the sink, which stands last."""
        sink = self.sink(scores[0].ndim).expand(*scores[0].shape[:-1], 1)
        return (torch.cat((*scores, sink), -1) + mask).softmax(-1)


class Experts(nn.Module):
    """Router and experts. All experts compute and the router's shares weigh them: with four experts that costs
    less than gathering each expert's tokens, and the sum is the same. `gate_up` has the gates' rows first; the
    published layout, which `export` writes, alternates them."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        e, h, i = shape.n_experts, shape.hidden_size, shape.intermediate_size
        self.router = nn.Linear(h, e)
        self.gate_up = nn.Parameter(torch.randn(e, 2 * i, h) * h**-0.5)
        self.gate_up_bias = nn.Parameter(torch.zeros(e, 2 * i))
        self.down = nn.Parameter(torch.randn(e, h, i) * i**-0.5)
        self.down_bias = nn.Parameter(torch.zeros(e, h))
        self.quantised = False
        self.balance = torch.zeros(())

    def forward(self, x: Tensor) -> Tensor:
        logits = F.linear(x.float(), self.router.weight, self.router.bias)
        chosen, index = logits.topk(self.shape.experts_per_token, -1)
        share = torch.zeros_like(logits).scatter(-1, index, chosen.softmax(-1))
        gate_up = mxfp4.rounded(self.gate_up) if self.quantised else self.gate_up
        down = mxfp4.rounded(self.down) if self.quantised else self.down
        y = F.linear(x, gate_up.flatten(0, 1), self.gate_up_bias.flatten()).unflatten(-1, (self.shape.n_experts, -1))
        y = swiglu(y) * share[..., None].to(y.dtype)
        self.balance = self.imbalance(logits, index)
        return F.linear(y.flatten(1), down.transpose(0, 1).flatten(1)) + share @ self.down_bias

    def imbalance(self, logits: Tensor, index: Tensor) -> Tensor:
        """1 when experts are used evenly, more when they are not (the switch-transformer loss)."""
        e = self.shape.n_experts
        used = torch.bincount(index.reshape(-1), minlength=e).float() / index.numel()
        return e * (used * logits.softmax(-1).mean(0)).sum()


def swiglu(y: Tensor) -> Tensor:
    gate, up = y.chunk(2, -1)
    gate, up = gate.clamp(max=SWIGLU_LIMIT), up.clamp(-SWIGLU_LIMIT, SWIGLU_LIMIT)
    return gate * torch.sigmoid(SWIGLU_ALPHA * gate) * (up + 1)


class Block(nn.Module):
    def __init__(self, shape: Shape, layer: int) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(shape.hidden_size, shape.norm_eps)
        self.self_attn = Attention(shape, shape.is_sliding(layer))
        self.post_attention_layernorm = nn.RMSNorm(shape.hidden_size, shape.norm_eps)
        self.mlp = Experts(shape)

    def forward(self, x: Tensor, pack: Pack, rope: tuple[Tensor, Tensor], masks: Masks) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), pack, rope, masks)
        return x + self.mlp(self.post_attention_layernorm(x))


class Network(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.layers = nn.ModuleList(Block(shape, layer) for layer in range(shape.n_layers))
        self.norm = nn.RMSNorm(shape.hidden_size, shape.norm_eps)
        self.head = nn.Linear(shape.hidden_size, shape.vocab_size, bias=False)
        inverse, self.rope_scale = inverse_frequencies(shape)
        self.register_buffer("inverse", inverse, persistent=False)

    def quantise(self, on: bool) -> None:
        """From here on the experts compute with their MXFP4 values."""
        for block in self.layers:
            block.mlp.quantised = on

    def forward(self, pack: Pack) -> Tensor:
        """Hidden states [T, hidden] after the last norm; `head` turns wanted rows into logits."""
        angle = pack.positions()[:, None].float() * self.inverse
        rope = (angle.cos() * self.rope_scale)[:, None], (angle.sin() * self.rope_scale)[:, None]
        masks = {window: pack.masks(window) for window in (None, self.shape.window)}
        x = self.embed(pack.tokens)
        for block in self.layers:
            x = block(x, pack, rope, masks)
        return self.norm(x)

    def balance(self) -> Tensor:
        return torch.stack([block.mlp.balance for block in self.layers]).mean()
