"""The shipped policies with the cases written for training (never the golden cases, which only test)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ..policy import Policy, parse
from ..prompt import Content
from .concept import Item


@dataclass(frozen=True)
class Case:
    item: Item
    rule: str


@dataclass
class Shipped:
    """A shipped policy, its training cases and its golden cases."""

    folder: Path
    policy: Policy
    train: list[Case]
    golden: list[Case]

    @property
    def name(self) -> str:
        return self.folder.name


def load_shipped(policies: Path, written: Path) -> list[Shipped]:
    shipped = []
    for folder in sorted(path for path in policies.iterdir() if (path / "policy.md").is_file()):
        policy = parse((folder / "policy.md").read_text())
        train = read_cases(written / f"{folder.name}.jsonl")
        golden = read_cases(folder / "golden.jsonl")
        shipped.append(Shipped(folder, policy, train, golden))
    return shipped


def read_cases(path: Path) -> list[Case]:
    if not path.is_file():
        return []
    return [read_case(json.loads(line)) for line in path.read_text().split("\n") if line.strip()]


def read_case(row: dict) -> Case:
    """A golden line, with `evidence`: the words that decide it, where they can be quoted."""
    metadata = tuple((str(key), str(value)) for key, value in (row.get("metadata") or {}).items())
    if "prompt" in row:
        content = Content.exchange(row["prompt"], row["reply"])
    elif "messages" in row:
        content = Content.conversation([(speaker(turn), turn["text"]) for turn in row["messages"]])
    else:
        content = Content.text(row["text"], metadata)
    evidence = row.get("evidence")
    if evidence and evidence not in content.plain():
        raise ValueError(f"{row['id']}: the evidence is not in the text")
    return Case(Item(content, evidence), row["rule"])


def speaker(turn: dict) -> str:
    if "tool" not in turn:
        return turn["role"]
    return f"tool {turn['tool']}" if turn["role"] == "tool" else f"{turn['role']} calls {turn['tool']}"
