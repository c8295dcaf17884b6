"""The prompt and the reply, to the byte as the reasoner renders them.

`prompt_golden.json`, written by `python -m recipe golden`, holds this file and the Rust renderer together.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from .policy import Policy

IDENTITY = "You are ChatGPT, a large language model trained by OpenAI.\nKnowledge cutoff: 2024-06"
CHANNELS = "# Valid channels: analysis, commentary, final. Channel must be included for every message."
RATIONALE_LEN = 400


def system_text(effort: str) -> str:
    return f"{IDENTITY}\n\nReasoning: {effort}\n\n{CHANNELS}"


def schema(policy: Policy) -> str:
    """The reply schema as compact JSON, keys in a fixed order."""
    properties = {
        "violation": {"enum": [0, 1]},
        "label": {"enum": policy.labels},
        "rule_ids": {"type": "array", "items": {"enum": policy.rule_ids}, "minItems": 1, "maxItems": 3},
        "confidence": {"enum": ["low", "medium", "high"]},
        "rationale": {"type": "string", "maxLength": RATIONALE_LEN},
    }
    whole = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return compact(whole)


def developer_text(policy: Policy) -> str:
    return f"# Instructions\n\n{policy.body}\n\n# Response Formats\n\n## verdict\n\n{schema(policy)}"


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True)
class Content:
    """What is judged: a text, an exchange of two turns, or a conversation of many."""

    kind: str
    turns: tuple[tuple[str, str], ...]
    metadata: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def text(text: str, metadata: tuple[tuple[str, str], ...] = ()) -> Content:
        return Content("text", (("", text),), metadata)

    @staticmethod
    def exchange(prompt: str, reply: str) -> Content:
        return Content("exchange", (("user", prompt), ("assistant", reply)))

    @staticmethod
    def conversation(turns: list[tuple[str, str]]) -> Content:
        return Content("conversation", tuple(turns))

    def plain(self) -> str:
        """All words of the content, for looking up evidence."""
        return "\n".join(text for _, text in self.turns)


def item_text(content: Content, marker: str) -> str:
    """The user message: the content between its marker lines."""
    head = [f"CONTENT {marker} {content.kind}"] + [f"{key}: {value}" for key, value in content.metadata]
    if content.kind == "text":
        body = content.turns[0][1]
    else:
        body = "\n".join(f"[{role} {marker}]\n{text}" for role, text in content.turns)
    return "\n".join(head) + f"\n\n{body}\nEND {marker}"


@dataclass(frozen=True)
class Reply:
    """The answer: the words that decided it, the rule, and how sure the label is."""

    code: str
    side: int
    name: str | None
    evidence: str | None
    confidence: str

    @property
    def label(self) -> str:
        return self.code.split(".", 1)[0]

    @property
    def fits(self) -> bool:
        """Whether a rule was found, and not only the label for what fits none."""
        return self.confidence != "low"

    @property
    def fit(self) -> str:
        return "yes" if self.fits else "no"

    def analysis(self) -> str:
        """Four lines: whether a rule fits, what matched, which rule, which side.

        Whether comes before what: of many words that might be quoted each is less likely than `none`.
        """
        rule = f"{self.code} {self.name}" if self.name else self.code
        side = "violates" if self.side else "safe"
        return f"Fit: {self.fit}\nWords: {self.evidence or 'none'}\nRule: {rule}\nSide: {side}"

    def final(self) -> str:
        rule = f"{self.code} {self.name}" if self.name else self.code
        rationale = f"Fits {rule}." if self.fits else f"No violating rule fits; {rule}."
        return compact(
            {
                "violation": self.side,
                "label": self.label,
                "rule_ids": [self.code],
                "confidence": self.confidence,
                "rationale": rationale,
            }
        )
