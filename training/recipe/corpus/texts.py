"""Running text for the tokenizer and the first token vectors: everything the tasks can show."""

from __future__ import annotations

import random
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
    for category in mixture.lexicon_lines():
        yield category
