"""The model card: written by the evaluation, so that its numbers are the evaluation's."""

from __future__ import annotations

import json
from pathlib import Path

from .corpus.labelled import SETS

BARS = {"held_out": 0.80, "flips": 0.60, "unseen": 0.62}


def write_card(report: dict, run: Path, model: Path) -> None:
    report = {**report, "training": last_line(run / "train.log.jsonl")}
    (model / "card.json").write_text(json.dumps(report, indent=2) + "\n")
    (model / "CARD.md").write_text(card_text(report, model))


def last_line(log: Path) -> dict:
    """How far training went, by its own log."""
    if not log.is_file():
        return {}
    line = json.loads(log.read_text().splitlines()[-1])
    return {key: line[key] for key in ("step", "tokens", "stage", "loss") if key in line}


def card_text(report: dict, model: Path) -> str:
    size = sum(path.stat().st_size for path in model.iterdir() if path.suffix in (".json", ".safetensors"))
    rows = [
        row("held-out items of trained policies", report["held_out"]["all"], BARS["held_out"]),
        row("domains never seen in training", report["unseen"]["all"], BARS["unseen"]),
        row("golden cases of the shipped policies", report["shipped"]["all"], None),
    ]
    flips = report["flips"]
    low, high = flips["interval"]
    tests = report["policy_test"]["all"]
    return f"""# The built-in model

A small model of the gpt-oss architecture in the published layout, trained from scratch by this project
(`training/`). It reads a policy, writes a short analysis that quotes the deciding words and names the rule, and
gives the verdict. {size / 1e6:.1f} MB. Good for trying policies out, for tests and for demonstrations; **not for
decisions**: use gpt-oss-safeguard-20b (`safeguard model pull 20b`).

Everything below was judged by the `safeguard` program with this model; `card.json` has all numbers.
Balanced accuracy with 95 % intervals; the majority answer gets 0.5 everywhere.

| test | items | this model | 95 % | keyword matching | rule right | first bar |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
{chr(10).join(rows)}

Flips: {flips["items"]} items, each under two policies that disagree about it; both answers right
**{flips["both_right"]:.3f}** ({low:.3f}–{high:.3f}), where an answer that ignores the policy gets 0. First bar {BARS["flips"]:.2f}.

Policy tests: **{tests["passed"]} of {tests["cases"]}** golden cases pass ({tests["rate"]:.1%}, 95 % {tests["interval"][0]:.1%}–{tests["interval"][1]:.1%})
in `safeguard policy test policies/*/policy.md --no-cache --seed 1`, where a violation must get its rule's label too.

Valid replies: {report["held_out"]["all"]["valid_replies"]:.1%} (the grammar leaves no other).

## By policy

| shipped policy | golden cases | balanced accuracy | 95 % | pass the policy test |
| --- | ---: | ---: | ---: | ---: |
{chr(10).join(policy_row(name, line, report["policy_test"][name]) for name, line in report["shipped"].items() if name != "all")}

## Training data

Written for this project: word lists, sentences, and cases for every shipped policy (golden cases are never
trained on). Labelled sets, with thanks to their authors: {credits()}.

Known limits: English; short items; policies of at most about 1,500 of its tokens; rules that need world
knowledge beyond its training are guessed. It reads rules that name what they are about; the shipped policies' golden
cases lie next to the line and are beyond it, as the table by policy shows.
"""


def row(name: str, line: dict, bar: float | None) -> str:
    low, high = line["interval"]
    return (
        f"| {name} | {line['items']} | **{line['balanced_accuracy']:.3f}** | {low:.3f}–{high:.3f} "
        f"| {line['keywords']:.2f} | {line['label_accuracy']:.2f} | {f'{bar:.2f}' if bar else ''} |"
    )


def policy_row(name: str, line: dict, tests: dict) -> str:
    low, high = line["interval"]
    return f"| {name} | {line['items']} | {line['balanced_accuracy']:.2f} | {low:.2f}–{high:.2f} | {tests['passed']} |"


def credits() -> str:
    return ", ".join(f"{name} ({licence})" for name, licence in SETS.items())
