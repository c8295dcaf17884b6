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
# Items a run of attention: few enough to be of like length, many enough for large products.
RUN = 8
Places = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Shape:
    """The numbers of `config.json`; defaults are the built-in model's."""

    vocab_size: int
    hidden_size: int = 256
    n_layers: int = 4
    n_heads: int = 4
    n_kv_heads: int = 2
    head_dim: int = 64
    intermediate_size: int = 192
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
    """A prefix of P tokens, then items one after the other in `tokens`; `lengths` has each item's tokens."""

    tokens: Tensor
    n_prefix: int
    lengths: list[int]

    def places(self) -> list[tuple[Tensor, Tensor]]:
        """Runs of neighbouring items, each `[n, longest]`: where their tokens stand, and which are real.

        Items sorted by length waste little on the padding inside a run.
        """
        lengths = torch.tensor(self.lengths)
        starts = self.n_prefix + lengths.cumsum(0) - lengths
        return [grid(*run) for run in zip(starts.split(RUN), lengths.split(RUN))]

    def positions(self) -> Tensor:
        parts = [torch.arange(self.n_prefix)]
        parts += [torch.arange(self.n_prefix, self.n_prefix + length) for length in self.lengths]
        return torch.cat(parts)


def grid(starts: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    offsets = torch.arange(int(lengths.max()))
    real = offsets[None, :] < lengths[:, None]
    return torch.where(real, starts[:, None] + offsets[None, :], 0), real


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

    def forward(self, x: Tensor, pack: Pack, rope: tuple[Tensor, Tensor], places: Places) -> Tensor:
        s = self.shape
        q = rotate(self.q_proj(x).view(-1, s.n_heads, s.head_dim), *rope) * s.head_dim**-0.5
        k = rotate(self.k_proj(x).view(-1, s.n_kv_heads, s.head_dim), *rope)
        v = self.v_proj(x).view(-1, s.n_kv_heads, s.head_dim)
        p = pack.n_prefix
        prefix = self.over_prefix(q[:p], k[:p], v[:p])
        items = [self.over_items(q, k, v, p, *run) for run in places]
        return self.o_proj(torch.cat((prefix, *items), 0))

    def groups(self, q: Tensor) -> Tensor:
        """[T, heads, d] to [kv heads, group, T, d]."""
        s = self.shape
        return q.view(-1, s.n_kv_heads, s.n_heads // s.n_kv_heads, s.head_dim).permute(1, 2, 0, 3)

    def sink(self, rank: int) -> Tensor:
        s = self.shape
        return self.sinks.view(s.n_kv_heads, -1, *([1] * (rank - 2)))

    def over_prefix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        n = q.shape[0]
        scores = self.groups(q) @ k.permute(1, 2, 0)[:, None]
        row, column = torch.arange(n)[:, None], torch.arange(n)[None, :]
        hidden = column > row
        if self.window:
            hidden |= column <= row - self.window
        scores = scores.float().masked_fill(hidden, float("-inf"))
        sink = self.sink(4)
        top = torch.maximum(scores.detach().amax(-1, keepdim=True), sink.detach())
        weights = torch.exp(scores - top)
        weights = weights / (weights.sum(-1, keepdim=True) + torch.exp(sink - top))
        mixed = weights.to(v.dtype) @ v.permute(1, 0, 2)[:, None]
        return mixed.permute(2, 0, 1, 3).reshape(n, -1)

    def over_items(self, q: Tensor, k: Tensor, v: Tensor, p: int, places: Tensor, real: Tensor) -> Tensor:
        s, (n, longest) = self.shape, places.shape
        first = max(0, p - self.window + 1) if self.window else 0
        flat = places.reshape(-1)
        qi = self.groups(q[flat])
        ki = k[flat].view(n, longest, s.n_kv_heads, s.head_dim).permute(2, 0, 1, 3)
        vi = v[flat].view(n, longest, s.n_kv_heads, s.head_dim).permute(2, 0, 1, 3)
        grid = (*qi.shape[:2], n, longest, -1)
        before = (qi @ k[first:p].permute(1, 2, 0)[:, None]).view(grid).float()
        own = (qi.reshape(*qi.shape[:2], n, longest, s.head_dim) @ ki[:, None].transpose(-1, -2)).float()
        step = torch.arange(longest)
        hidden = (step[None, :] > step[:, None])[None] | ~real[:, None, :]
        if self.window:
            hidden = hidden | (step[None, :] <= step[:, None] - self.window)[None]
            ages = p + step[:, None] - torch.arange(first, p)[None, :]
            before = before.masked_fill(ages >= self.window, float("-inf"))
        own = own.masked_fill(hidden, float("-inf"))
        sink = self.sink(5)
        top = torch.maximum(own.detach().amax(-1, keepdim=True), sink.detach())
        top = torch.maximum(top, before.detach().amax(-1, keepdim=True))
        weights_before, weights_own = torch.exp(before - top), torch.exp(own - top)
        total = weights_before.sum(-1, keepdim=True) + weights_own.sum(-1, keepdim=True) + torch.exp(sink - top)
        mixed = weights_before.to(v.dtype).flatten(2, 3) @ v[first:p].permute(1, 0, 2)[:, None]
        mixed = mixed.view(grid) + weights_own.to(v.dtype) @ vi[:, None]
        mixed = (mixed.float() / total).permute(2, 3, 0, 1, 4).reshape(n, longest, -1)
        return mixed[real].to(v.dtype)


class Experts(nn.Module):
    """Router and experts; each expert runs once over all tokens that chose it."""

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
        logits = self.router(x.float())
        chosen, index = logits.topk(self.shape.experts_per_token, -1)
        share = chosen.softmax(-1)
        gate_up = mxfp4.rounded(self.gate_up) if self.quantised else self.gate_up
        down = mxfp4.rounded(self.down) if self.quantised else self.down
        out = torch.zeros_like(x, dtype=torch.float32)
        for expert in range(self.shape.n_experts):
            row, place = (index == expert).nonzero(as_tuple=True)
            y = F.linear(x[row], gate_up[expert], self.gate_up_bias[expert])
            gate, up = y[:, 0::2].clamp(max=SWIGLU_LIMIT), y[:, 1::2].clamp(-SWIGLU_LIMIT, SWIGLU_LIMIT)
            y = F.linear(gate * torch.sigmoid(SWIGLU_ALPHA * gate) * (up + 1), down[expert], self.down_bias[expert])
            out = out.index_add(0, row, y.float() * share[row, place, None])
        self.balance = self.imbalance(logits, index)
        return out

    def imbalance(self, logits: Tensor, index: Tensor) -> Tensor:
        """1 when experts are used evenly, more when they are not (the switch-transformer loss)."""
        e = self.shape.n_experts
        used = torch.bincount(index.reshape(-1), minlength=e).float() / index.numel()
        return e * (used * logits.softmax(-1).mean(0)).sum()


class Block(nn.Module):
    def __init__(self, shape: Shape, layer: int) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(shape.hidden_size, shape.norm_eps)
        self.self_attn = Attention(shape, shape.is_sliding(layer))
        self.post_attention_layernorm = nn.RMSNorm(shape.hidden_size, shape.norm_eps)
        self.mlp = Experts(shape)

    def forward(self, x: Tensor, pack: Pack, rope: tuple[Tensor, Tensor], places: Places) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), pack, rope, places)
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
        places = pack.places()
        x = self.embed(pack.tokens)
        for block in self.layers:
            x = block(x, pack, rope, places)
        return self.norm(x)

    def balance(self) -> Tensor:
        return torch.stack([block.mlp.balance for block in self.layers]).mean()
