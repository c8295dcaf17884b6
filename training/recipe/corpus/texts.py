"""Running text for the tokenizer and the first token vectors: what the tasks can show, and real text."""

from __future__ import annotations

import random
import re
from typing import Iterator

from ..prompt import developer_text, system_text
from .mixture import Mixture, Sizes

KINDS = {"categories": 500, "acts": 500, "labelled": 900, "mixed": 300, "words": 60}


def running_text(mixture: Mixture, seed: int = 3) -> Iterator[str]:
    rng = random.Random(seed)
    yield system_text("medium")
    for one in mixture.shipped:
        for _ in range(8):
            yield one.policy.body
        for case in one.train:
            yield case.item.content.plain()
            yield case.item.content.plain()
    for kin, n_tasks in KINDS.items():
        for _ in range(n_tasks):
            task = mixture.task(rng, "train", kin, 24, Sizes())
            yield task.policy.body if rng.random() < 0.8 else developer_text(task.policy)
            for item, reply in task.cases:
                yield item.content.plain()
                if rng.random() < 0.1:
                    yield reply.analysis() + "\n" + reply.final()
    yield from mixture.lexicon_lines()
    yield from mixture.real_texts


CODE = re.compile(r"\b[A-Z]{2}(?=\d)")
REPEATS = 40


def tokenizer_text(mixture: Mixture) -> Iterator[str]:
    """The running text without the random letters of codes, and the trained word lists often enough to become tokens."""
    for text in running_text(mixture):
        yield CODE.sub("", text)
    for word in mixture.trained_words():
        yield f" {word}" * REPEATS
