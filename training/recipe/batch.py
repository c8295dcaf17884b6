"""From a task to a pack with targets: which token comes next, and how much it counts."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch import Tensor

from .corpus.mixture import Task
from .network import Pack
from .prompt import Reply
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

    `codes` and `starts`: for each item the places of the rule's code and of the first quoted word.
    """

    pack: Pack
    targets: Tensor
    weights: Tensor
    codes: list[slice]
    starts: list[int]


def marker(rng: random.Random) -> str:
    return "".join(rng.choice(HEX) for _ in range(8))


def code_span(coder: Coder, reply: Reply) -> tuple[int, int]:
    """Which tokens of the analysis spell the rule's code."""
    text = reply.analysis()
    coder.tokenizer.encode_special_tokens = True
    offsets = coder.tokenizer.encode(text, add_special_tokens=False).offsets
    start = text.rindex("\nRule: ") + len("\nRule: ")
    end = start + len(reply.code)
    inside = [at for at, (_, stop) in enumerate(offsets) if start < stop <= end]
    return inside[0], inside[-1] + 1


def make_batch(coder: Coder, task: Task, rng: random.Random, weights: Weights, final_share: float, bare: bool) -> Batch:
    tokens = coder.bare_prefix(task.policy) if bare else coder.prefix(task.policy, rng.choice(EFFORTS))
    n_prefix, lengths = len(tokens), []
    counted = [weights.rest] * n_prefix
    codes, starts = [], []
    for item, reply in sorted(task.cases, key=lambda case: len(case[0].content.plain())):
        head = coder.bare_item(item.content) if bare else coder.item(item.content, marker(rng))
        analysis = coder.analysis(reply)
        final = coder.final(reply) if rng.random() < final_share else []
        first, last = code_span(coder, reply)
        base = len(tokens) + len(head) - 1
        codes.append(slice(base + first, base + last))
        starts.append(base + 2)
        header = len(coder.opening("final"))
        tokens += head + analysis + final
        lengths.append(len(head) + len(analysis) + len(final))
        own = [weights.rest] * (len(head) - 1) + [weights.analysis] * len(analysis)
        own[len(head) - 1 + first : len(head) - 1 + last] = [weights.code] * (last - first)
        # The engine forces the header of the final message, so nothing is learned there.
        own += ([0.0] * header + [weights.final] * (len(final) - header)) if final else []
        counted += own + [0.0]
    ids = torch.tensor(tokens)
    targets = torch.cat((ids[1:], ids[:1]))
    counts = torch.tensor(counted)
    counts[n_prefix - 1] = 0.0
    return Batch(Pack(ids, n_prefix, lengths), targets, counts, codes, starts)
