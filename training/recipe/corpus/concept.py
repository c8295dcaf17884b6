"""A concept: something a rule can be about, with ways to say it and items that show it."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from typing import Callable

from ..prompt import Content

TEST_SHARE = 0.12


@dataclass(frozen=True)
class Item:
    """A content that shows a concept. `evidence` is the exact part of it that does."""

    content: Content
    evidence: str | None
    confidence: str = "high"


@dataclass
class Concept:
    """`theme`: concepts of one theme may overlap, so they never meet in one policy.

    `sample(rng, split)` gives a new item; `split` is `train` or `test`.
    """

    key: str
    theme: str
    names: list[str]
    wordings: Callable[[random.Random], str]
    sample: Callable[[random.Random, str], Item]
    held_out: bool = False
    kin: str = field(default="")


def share_of(text: str, salt: str) -> float:
    """A fixed number in 0..1 for a text, so that a split never depends on order or seed."""
    digest = hashlib.sha256(f"{salt}\0{text}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def split_of(text: str) -> str:
    return "test" if share_of(text, "item") < TEST_SHARE else "train"
