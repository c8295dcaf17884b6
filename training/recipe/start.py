"""The first weights: a network that can already read a list of rules, roughly, and improves from there.

Matching an item to a rule takes four steps, which plain training on two cores finds only after many hours. They
are wired in by hand, one a layer, and trained like all other weights afterwards:

0  every word of a rule looks back to the rule's code and notes it (`shadow`);
1  every word of an item looks for its like in the policy and takes over the code noted there (`code`) and a
   sign that it found one (`flag`);
2  every token notes the one before it (`prev`); a reply looks for words with a sign and says them;
3  a reply looks for words with a sign and says their code, or goes on as an earlier text did (induction).

Words of one meaning start near each other: their vectors come from co-occurrence. The residual stream is cut into
an identity half, which holds the token's own vector, and a scratch half for what layers note; the head reads the
scratch half, so that nothing is said but what a layer wrote.
"""

from __future__ import annotations

from typing import Iterable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from .network import Attention, Network
from .tokens import Coder

REACH = 6
SEMANTIC, SINGULAR = 0.8, 0.6
# Sizes of the scratch half's parts beside the one-dimensional `flag` and `common`.
SHADOW, CODE, PREV = 44, 44, 38
# Which tokens end a rule's code: numbers and the letter of a safe rule.
CODE_ENDS = [str(number) for number in range(13)] + [f".{letter}" for letter in "abcdefghijkl"]
# Scores in the softmax: a like word, the sink that stands against it, a sign, a code, the step of nearness.
LIKE, NO_LIKE, SIGN, CODE_SCORE, NEAR_STEP = 24.0, 12.0, 9.0, 40.0, 6.0
# How far a very common word's score falls, so that `the` finds no like.
COMMON_FALL = 20.0


def token_vectors(coder: Coder, texts: Iterable[str], width: int) -> tuple[Tensor, Tensor]:
    """[vocab, width] of unit rows: positive pointwise mutual information, reduced by singular values; and counts."""
    counts = torch.from_numpy(neighbours(coder, texts, coder.vocab_size)).float()
    counts += counts.T.clone()
    total, row = counts.sum(), counts.sum(1, keepdim=True).clamp_min(1)
    smooth = row.squeeze(1) ** 0.75
    expected = row * (smooth / smooth.sum())
    ppmi = torch.log((counts / expected).clamp_min(1.0))
    u, s, _ = torch.svd_lowrank(ppmi, q=width, niter=2)
    vectors = u * s.sqrt()
    return normalize(vectors - vectors.mean(0), dim=-1), row.squeeze(1) / total


def neighbours(coder: Coder, texts: Iterable[str], size: int) -> np.ndarray:
    """[vocab, vocab]: how often the second token stands at most REACH behind the first."""
    gap = [size] * REACH
    ids = np.concatenate([np.array([*coder._run(text), *gap]) for text in texts])
    counts = np.zeros((size + 1) ** 2, dtype=np.int32)
    for step in range(1, REACH + 1):
        counts += np.bincount(ids[:-step] * (size + 1) + ids[step:], minlength=len(counts)).astype(np.int32)
    return counts.reshape(size + 1, size + 1)[:size, :size].copy()


def shared_by_spelling(coder: Coder, vectors: Tensor) -> Tensor:
    """Tokens that differ only in case or a leading space share their meaning and most of their own part."""
    group = torch.arange(coder.vocab_size)
    first: dict[str, int] = {}
    for token in range(coder.ordinary):
        plain = coder.tokenizer.decode([token]).strip().lower()
        if plain:
            group[token] = first.setdefault(plain, token)
    sums = torch.zeros_like(vectors).index_add(0, group, vectors)
    meaning = normalize(sums, dim=-1)[group]
    shared = torch.randn_like(vectors)[group]
    own = normalize(0.8 * shared + 0.4 * torch.randn_like(vectors), dim=-1)
    return normalize(SEMANTIC * meaning + SINGULAR * own, dim=-1)


class Stream:
    """The parts of the residual stream, as orthonormal rows [part, hidden]."""

    def __init__(self, hidden: int) -> None:
        basis = torch.nn.init.orthogonal_(torch.empty(hidden, hidden))
        half = hidden // 2
        self.identity, self.scratch = basis[:half], basis[half:]
        self.shadow, self.code, self.prev, rest = self.scratch.split([SHADOW, CODE, PREV, half - SHADOW - CODE - PREV])
        self.flag, self.common = rest[0], rest[1]
        # Random views of the identity: [n, half] each.
        self.view = torch.nn.init.orthogonal_(torch.empty(half, half))

    def seen(self, n: int, first: int = 0) -> Tensor:
        """`n` coordinates of a token's identity, [n, hidden]."""
        return self.view[first : first + n] @ self.identity

    def said(self, n: int, first: int = 0) -> Tensor:
        """The same coordinates where the head reads them, [n, hidden]."""
        return self.view[first : first + n] @ self.scratch


class Head:
    """One key head of a layer with its queries, and the numbers of its positions."""

    def __init__(self, network: Network, layer: int, kv: int) -> None:
        shape = network.shape
        self.attention: Attention = network.layers[layer].self_attn
        self.d, self.kv = shape.head_dim, kv
        self.group = shape.n_heads // shape.n_kv_heads
        self.heads = range(kv * self.group, (kv + 1) * self.group)
        self.scale = network.rope_scale**2 * self.d**-0.5
        half, inverse = self.d // 2, network.inverse
        self.inverse, self.half = inverse, half
        slow = (inverse * 1500 < 0.8).nonzero().squeeze(1)
        # Dimensions that hardly turn over a prompt compare contents; the last pair is kept for constants.
        self.rows = torch.cat((slow[:-1], slow[:-1] + half))
        self.constant = slow[-1:]
        for projection, heads in ((self.attention.k_proj, [kv]), (self.attention.q_proj, self.heads)):
            for head in heads:
                projection.weight[head * self.d : (head + 1) * self.d] = 0
                projection.bias[head * self.d : (head + 1) * self.d] = 0

    def compare(self, query: Tensor, key: Tensor, score: float, norm2: float) -> None:
        """`query` and `key` [n, hidden] meet; vectors of squared norm `norm2` that agree score `score`."""
        n = min(len(self.rows), len(query))
        gain = (score / (self.scale * norm2)) ** 0.5
        self.attention.k_proj.weight[self.kv * self.d + self.rows[:n]] = key[:n] * gain
        for head in self.heads:
            self.attention.q_proj.weight[head * self.d + self.rows[:n]] = query[:n] * gain

    def look_for(self, direction: Tensor, score: float, value: float) -> None:
        """Every query scores `score` on keys whose part along `direction` is `value`."""
        gain = (score / (self.scale * value * len(self.rows))) ** 0.5
        self.attention.k_proj.weight[self.kv * self.d + self.rows] = direction.expand(len(self.rows), -1) * gain
        for head in self.heads:
            self.attention.q_proj.bias[head * self.d + self.rows] = gain

    def fall(self, direction: Tensor, score: float, value: float) -> None:
        """Queries whose part along `direction` is `value` score lower everywhere, so that the sink wins."""
        gain = (score / (self.scale * value)) ** 0.5
        self.attention.k_proj.bias[self.kv * self.d + self.constant] = gain
        for head in self.heads:
            self.attention.q_proj.weight[head * self.d + self.constant] = -direction * gain

    def by_distance(self, turns: Tensor, phase: Tensor, step: float) -> None:
        """Adds `step * cos(turn * distance + phase)` for each of `turns` (indices of frequencies)."""
        gain = (abs(step) / self.scale) ** 0.5
        self.attention.k_proj.bias[self.kv * self.d + turns] = gain
        for head in self.heads:
            sign = 1.0 if step > 0 else -1.0
            self.attention.q_proj.bias[head * self.d + turns] = sign * gain * phase.cos()
            self.attention.q_proj.bias[head * self.d + self.half + turns] = sign * gain * phase.sin()

    def carry(self, source: Tensor, target: Tensor, gain: float, sign: Tensor | None = None) -> None:
        """Copies coordinates `source` [n, hidden] of the key's token to `target`; `sign` is written for any key."""
        n, base = len(source), self.kv * self.d
        self.attention.v_proj.weight[base : base + self.d] = 0
        self.attention.v_proj.weight[base : base + n] = source
        self.attention.v_proj.bias[base : base + self.d] = 0
        for head in self.heads:
            column = self.attention.o_proj.weight[:, head * self.d : (head + 1) * self.d]
            column[:, :] = 0
            column[:, :n] = target.T * (gain / self.group)
            if sign is not None:
                column[:, -1] = sign / self.group
        if sign is not None:
            self.attention.v_proj.bias[base + self.d - 1] = 1.0

    def sink(self, score: float) -> None:
        for head in self.heads:
            self.attention.sinks[head] = score


@torch.no_grad()
def begin(network: Network, coder: Coder, texts: Iterable[str]) -> None:
    shape = network.shape
    stream = Stream(shape.hidden_size)
    raw, share = token_vectors(coder, texts, shape.hidden_size // 2)
    vectors = shared_by_spelling(coder, raw)
    norm = shape.hidden_size**0.5
    common = (torch.log(share / 2e-4) / 2.5).clamp(0, 1)
    common[coder.ordinary :] = 1.0
    network.embed.weight.copy_(norm * vectors @ stream.identity + 3.0 * common[:, None] * stream.common)
    network.head.weight.copy_(vectors @ stream.scratch)
    for block in network.layers:
        for projection in (block.self_attn.q_proj, block.self_attn.k_proj, block.self_attn.v_proj, block.self_attn.o_proj):
            torch.nn.init.normal_(projection.weight, std=shape.hidden_size**-0.5)
            torch.nn.init.zeros_(projection.bias)
        block.self_attn.o_proj.weight.mul_(0.3)
        block.mlp.down.mul_(0.1)
    note_codes(network, coder, stream)
    find_likes(network, stream)
    note_the_one_before(network, stream)
    say_signed_words(network, stream)
    say_codes(network, stream)
    go_on_as_before(network, stream)


def note_codes(network: Network, coder: Coder, stream: Stream) -> None:
    head = Head(network, 0, 0)
    direction = telling_direction(network.embed.weight, [ids[0] for ids in map(coder._run, CODE_ENDS) if len(ids) == 1])
    head.look_for(direction, CODE_SCORE, 1.0)
    prefer_near(network, head, NEAR_STEP)
    head.carry(stream.seen(SHADOW), stream.shadow, 0.7)


def prefer_near(network: Network, head: Head, step: float) -> None:
    """Falls from the first token on for about 45 tokens, by a tenth of `step` a token."""
    turns = ((network.inverse > 0.015) & (network.inverse < 0.08)).nonzero().squeeze(1)
    head.by_distance(turns, torch.full((len(turns),), 0.6), step)


def telling_direction(x: Tensor, tokens: list[int]) -> Tensor:
    """The direction along which these tokens' normed vectors are near 1 and all others near 0."""
    x = x / x.pow(2).mean(-1, keepdim=True).sqrt()
    wanted = torch.zeros(x.shape[0])
    wanted[tokens] = 1.0
    balance = torch.where(wanted > 0, 1e4, 1.0)[:, None]
    gram = (x * balance).T @ x + 30.0 * torch.eye(x.shape[1])
    return torch.linalg.solve(gram, (x * balance).T @ wanted)


def find_likes(network: Network, stream: Stream) -> None:
    head, half = Head(network, 1, 0), network.shape.hidden_size // 2
    view = stream.seen(len(head.rows), SHADOW)
    head.compare(view, view, LIKE, 2 * len(head.rows) * 0.9)
    head.fall(stream.common, COMMON_FALL, 3.0)
    # A word is not its own like, nor are the ones near it.
    turns = ((network.inverse > 1 / 90) & (network.inverse < 1 / 12)).nonzero().squeeze(1)
    head.by_distance(turns, torch.zeros(len(turns)), -14.0 / len(turns))
    head.carry(stream.shadow, stream.code, 1.2, sign=6.0 * stream.flag)
    head.sink(NO_LIKE)


def note_the_one_before(network: Network, stream: Stream) -> None:
    head = Head(network, 2, 0)
    turns = torch.arange(12)
    head.by_distance(turns, -network.inverse[turns], 3.0)
    head.carry(stream.seen(PREV), stream.prev, 0.8)


def say_signed_words(network: Network, stream: Stream) -> None:
    head = Head(network, 2, 1)
    head.look_for(stream.flag, SIGN, 5.0)
    prefer_near(network, head, 1.0)
    head.carry(stream.seen(head.d - 1), stream.said(head.d - 1), 1.2)


def say_codes(network: Network, stream: Stream) -> None:
    head = Head(network, 3, 0)
    head.look_for(stream.flag, SIGN, 5.0)
    prefer_near(network, head, 2.0)
    head.carry(stream.code, stream.said(CODE), 1.5)


def go_on_as_before(network: Network, stream: Stream) -> None:
    head = Head(network, 3, 1)
    n = min(PREV, len(head.rows))
    # The key's part is a copy of 0.8 of what the query sees.
    head.compare(stream.seen(n), stream.prev[:n], 16.0, 0.8 * 2 * n * 0.9)
    head.carry(stream.seen(head.d), stream.said(head.d), 1.0)
