"""A policy as the recipe sees it: coded rules with a side, and the text that the model reads."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

RULE_LINE = re.compile(r"^- ([A-Z]{1,4}[0-9]+(?:\.[a-z])?)(?: ([^:]{1,40}):)? (.+)$")
SIDES = {"VIOLATES": 1, "SAFE": 0}


@dataclass(frozen=True)
class Rule:
    """One coded rule. `side` is 1 where it violates and 0 where it is safe."""

    code: str
    name: str | None
    text: str
    side: int

    @property
    def label(self) -> str:
        """The base code: what stands before the first dot."""
        return self.code.split(".", 1)[0]


@dataclass
class Policy:
    """`body` is the developer text; `rules` are in the order in which they stand there."""

    body: str
    rules: list[Rule]
    sides: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.sides = {}
        for rule in self.rules:
            self.sides.setdefault(rule.label, rule.side)

    @property
    def labels(self) -> list[str]:
        """Base codes in order of first appearance."""
        return list(self.sides)

    @property
    def rule_ids(self) -> list[str]:
        """Every rule's code, then each base code that is not itself a rule."""
        codes = [rule.code for rule in self.rules]
        return codes + [label for label in self.labels if label not in codes]

    @property
    def safe_label(self) -> str:
        """The label of an item that no rule fits."""
        return next(label for label, side in self.sides.items() if side == 0)

    def rule(self, code: str) -> Rule | None:
        return next((rule for rule in self.rules if rule.code == code), None)


def parse(text: str) -> Policy:
    """Reads a policy file: coded rules under VIOLATES and SAFE, or prose as the one rule V."""
    body = strip_front_matter(text.replace("\r\n", "\n")).strip()
    rules, side = [], None
    for line in body.split("\n"):
        if line.startswith("## "):
            side = SIDES.get(line[3:].split(" ")[0])
        match = RULE_LINE.match(line)
        if side is not None and match:
            rules.append(Rule(match[1], match[2], match[3], side))
    if not rules:
        rules = prose_rules(body)
    return Policy(body, rules)


def prose_rules(body: str) -> list[Rule]:
    """A policy without codes is one violating rule V and its safe counterpart V0."""
    return [Rule("V", None, body, 1), Rule("V0", None, "", 0)]


def strip_front_matter(text: str) -> str:
    if not text.startswith(("---\n", "+++\n")):
        return text
    fence = text[:3]
    end = text.find(f"\n{fence}\n", 3)
    return text if end < 0 else text[end + 5 :]
