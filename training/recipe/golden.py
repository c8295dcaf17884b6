"""Prompts that the Rust renderer must equal, byte for byte and token for token."""

from __future__ import annotations

import json
import random
from pathlib import Path

from .corpus.mixture import Mixture
from .prompt import Content, developer_text, item_text, system_text
from .tokens import Coder

MARKER = "3f9a1c07"


def write_golden(mixture: Mixture, coder: Coder, out: Path) -> None:
    """One prompt a shipped policy, with contents of every kind."""
    contents = [
        Content.text("Best kettle ever!", (("stars", "5"), ("verified", "yes"))),
        Content.exchange("Where is it?", "I cannot say."),
        Content.conversation([("user", "Look it up."), ("assistant calls search", '{"q":"x"}'), ("tool search", "none")]),
    ]
    rng, cases = random.Random(2), []
    for one in mixture.shipped:
        content, effort = rng.choice(contents), rng.choice(["low", "medium", "high"])
        tokens = coder.prefix(one.policy, effort) + coder.item(content, MARKER)
        cases.append(
            {
                "policy": one.name,
                "effort": effort,
                "kind": content.kind,
                "turns": content.turns,
                "metadata": content.metadata,
                "marker": MARKER,
                "system": system_text(effort),
                "developer": developer_text(one.policy),
                "user": item_text(content, MARKER),
                "tokens": tokens,
            }
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / "prompt_golden.jsonl").write_text("".join(json.dumps(case, ensure_ascii=False) + "\n" for case in cases))
