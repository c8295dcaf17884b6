"""From a task to a pack with targets: which token comes next, and how much it counts."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch import Tensor

from .corpus.mixture import Task
from .network import ITEM_STEP, PREFIX_STEP, Pack, padded
from .prompt import Content, Reply
from .tokens import Coder

HEX = "0123456789abcdef"
EFFORTS = ["low", "medium", "high"]


@dataclass(frozen=True)
class Weights:
    """What a token of each part counts in the loss."""

    analysis: float = 1.0
    code: float = 3.0
    final: float = 0.3
    rest: float = 0.0


@dataclass
class Batch:
    """`targets[t]` should follow `pack.tokens[t]`; it counts `weights[t]`.

    `codes`, `starts` and `fits`: for each item the places of the rule's code, of the first quoted word and of the
    word that says whether a rule fits.
    """

    pack: Pack
    targets: Tensor
    weights: Tensor
    codes: list[slice]
    starts: list[int]
    fits: list[int]


def marker(rng: random.Random) -> str:
    return "".join(rng.choice(HEX) for _ in range(8))


def span_after(coder: Coder, text: str, mark: str, length: int) -> tuple[int, int]:
    """Which tokens of `text` spell the `length` characters behind `mark`."""
    coder.tokenizer.encode_special_tokens = True
    offsets = coder.tokenizer.encode(text, add_special_tokens=False).offsets
    start = text.rindex(mark) + len(mark)
    inside = [at for at, (_, stop) in enumerate(offsets) if start < stop <= start + length]
    return inside[0], inside[-1] + 1


def make_batch(coder: Coder, task: Task, rng: random.Random, weights: Weights, final_share: float, bare: bool) -> Batch:
    prefix = coder.bare_prefix(task.policy) if bare else coder.prefix(task.policy, rng.choice(EFFORTS))
    rows = [item_row(coder, item.content, reply, rng, weights, final_share, bare) for item, reply in task.cases]
    n_padded = padded(len(prefix), PREFIX_STEP)
    length = padded(max(len(row.tokens) for row in rows), ITEM_STEP)
    tokens, counts = filled(prefix, n_padded), [0.0] * n_padded
    targets = filled(prefix[1:], n_padded)
    codes, starts, fits = [], [], []
    for row in rows:
        base = len(tokens)
        codes.append(slice(base + row.code.start, base + row.code.stop))
        starts.append(base + row.start)
        fits.append(base + row.fit)
        tokens += filled(row.tokens, length)
        targets += filled(row.tokens[1:], length)
        counts += row.counts + [0.0] * (length - len(row.counts))
    pack = Pack(torch.tensor(tokens), len(prefix), n_padded, len(rows))
    return Batch(pack, torch.tensor(targets), torch.tensor(counts), codes, starts, fits)


def filled(tokens: list[int], length: int) -> list[int]:
    return tokens + [0] * (length - len(tokens))


@dataclass
class Row:
    """One item with its reply; `counts[t]` is what predicting `tokens[t + 1]` counts."""

    tokens: list[int]
    counts: list[float]
    code: slice
    start: int
    fit: int


def item_row(
    coder: Coder, content: Content, reply: Reply, rng: random.Random, weights: Weights, final_share: float, bare: bool
) -> Row:
    head = coder.bare_item(content) if bare else coder.item(content, marker(rng))
    analysis = coder.analysis(reply)
    final = coder.final(reply) if rng.random() < final_share else []
    text = reply.analysis()
    first, last = span_after(coder, text, "\nRule: ", len(reply.code))
    fit = span_after(coder, text, "Fit: ", len(reply.fit))[0]
    word = span_after(coder, text, "\nWords: ", len(reply.evidence or "none"))[0]
    base = len(head) - 1
    counts = [weights.rest] * base + [weights.analysis] * len(analysis)
    counts[base + first : base + last] = [weights.code] * (last - first)
    counts[base + fit] = weights.code
    if final:
        # The engine forces the header of the final message, so nothing is learned there.
        header = len(coder.opening("final"))
        counts += [0.0] * header + [weights.final] * (len(final) - header)
    return Row(head + analysis + final, counts + [0.0], slice(base + first, base + last), base + word, base + fit)
