"""How much of the violations a filter passes on, by somebody's word on every item.

safeguard filter run FILTER ITEMS.jsonl > SCORED.jsonl
python recall.py SCORED.jsonl TRUTH.jsonl [LABEL]

TRUTH is labelled rows (with LABEL), or verdicts that `safeguard batch` made without a cascade. The interval is Wilson's,
of 95 %.
"""

import json
import math
import sys
from pathlib import Path


def lines(path: str) -> list[dict]:
    text = Path(path).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def wilson(k: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    middle = (k + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(k * (n - k) / n + z * z / 4)
    return middle - half, middle + half


def main(scored: str, truth: str, label: str | None = None) -> None:
    passes = {row["id"]: row["pass"] for row in lines(scored)}
    is_violation = (lambda row: row["labels"][label] == 1) if label else (lambda row: row["outcome"] == "violation")
    violations = [row["id"] for row in lines(truth) if is_violation(row)]
    caught = sum(passes[one] for one in violations)
    low, high = wilson(caught, len(violations))
    print(f"passed on: {sum(passes.values())} of {len(passes)}, {sum(passes.values()) / len(passes):.3f}")
    print(f"recall: {caught} of {len(violations)}, {caught / len(violations):.3f} ({low:.3f}-{high:.3f})")


if __name__ == "__main__":
    main(*sys.argv[1:])
