"""Judges the test sets with the safeguard program itself: the shipped model, engine, prompt and grammar.

Four questions, each on items or concepts that training never saw: held-out items of trained policies,
the golden cases of the shipped policies, flips (one item, two policies that disagree), and domains
never seen. Beside the model stand the majority answer and keyword matching. The shipped policies are
tested too, as their authors test them: by `safeguard policy test`.
"""

from __future__ import annotations

import json
import math
import random
import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from .corpus.mixture import Mixture, Sizes, Task, flipped
from .policy import Policy
from .prompt import Content, Reply

KINDS = {"held_out": ["categories", "acts", "labelled", "mixed"], "unseen": ["categories", "acts", "labelled"]}
ITEMS_PER_POLICY = 8
WORD = re.compile(r"[a-z]{4,}")
Z = 1.96


@dataclass
class Tally:
    """Right answers by true side, for the model and for two baselines."""

    n: dict[int, int] = field(default_factory=lambda: {0: 0, 1: 0})
    right: dict[int, int] = field(default_factory=lambda: {0: 0, 1: 0})
    keyword: dict[int, int] = field(default_factory=lambda: {0: 0, 1: 0})
    label_right: int = 0
    valid: int = 0

    def add(self, policy: Policy, content: Content, reply: Reply, verdict: dict) -> bool:
        outcome = {"violation": 1, "clear": 0}.get(verdict["outcome"])
        is_right = outcome == reply.side
        self.n[reply.side] += 1
        self.right[reply.side] += is_right
        self.keyword[reply.side] += keyword_answer(policy, content) == reply.side
        self.label_right += verdict["label"] == reply.label
        self.valid += outcome is not None
        return is_right

    @property
    def total(self) -> int:
        return sum(self.n.values())

    def balanced(self, right: dict[int, int]) -> float:
        shares = [right[side] / self.n[side] for side in (0, 1) if self.n[side]]
        return sum(shares) / len(shares)

    def interval(self) -> tuple[float, float]:
        """95 %, from the two sides' binomial errors."""
        variance = 0.0
        for side in (0, 1):
            if self.n[side]:
                share = self.right[side] / self.n[side]
                variance += share * (1 - share) / self.n[side] / 4
        half = Z * math.sqrt(variance)
        middle = self.balanced(self.right)
        return max(0.0, middle - half), min(1.0, middle + half)

    def summary(self) -> dict:
        return {
            "items": self.total,
            "balanced_accuracy": round(self.balanced(self.right), 3),
            "interval": [round(bound, 3) for bound in self.interval()],
            "majority": 0.5,
            "keywords": round(self.balanced(self.keyword), 3),
            "label_accuracy": round(self.label_right / max(1, self.total), 3),
            "valid_replies": round(self.valid / max(1, self.total), 4),
        }


def keyword_answer(policy: Policy, content: Content) -> int:
    """The side of the rule that shares most words with the content."""
    words = set(WORD.findall(content.plain().lower()))
    best_side, best = 0, 0
    for rule in policy.rules:
        shared = len(words & set(WORD.findall(f"{rule.name or ''} {rule.text}".lower())))
        if shared > best:
            best_side, best = rule.side, shared
    return best_side


class Program:
    """`safeguard` with one model: `batch` as a judge of many items, `policy test` as people run it."""

    def __init__(self, program: Path, model: Path) -> None:
        self.program, self.model = program, model

    def judge(self, policy: Policy, contents: list[Content]) -> list[dict]:
        with tempfile.TemporaryDirectory() as folder:
            items, verdicts, rules = (Path(folder) / name for name in ("items.jsonl", "verdicts.jsonl", "policy.md"))
            rules.write_text(policy.body)
            lines = [json.dumps({"id": at, **as_json(content)}) for at, content in enumerate(contents)]
            items.write_text("\n".join(lines))
            command = [self.program, "batch", items, "--policy", rules, "--out", verdicts, "--model", self.model]
            command += ["--seed", "1", "--max-analysis-tokens", "96"]
            done = subprocess.run(command, capture_output=True, text=True)
            found = [json.loads(line) for line in verdicts.read_text().splitlines()] if verdicts.exists() else []
            if len(found) != len(contents):
                raise RuntimeError(f"the program said: {done.stderr}")
            return found

    def test(self, policies: list[Path]) -> dict:
        """How many golden cases of each policy pass, and of all."""
        command = [self.program, "policy", "test", *policies, "--model", self.model]
        done = subprocess.run([*command, "--no-cache", "--seed", "1", "--format", "json"], capture_output=True, text=True)
        if not done.stdout:
            raise RuntimeError(f"the program said: {done.stderr}")
        report = {one["policy"]["name"]: passed(one["passed"], one["cases"]) for one in json.loads(done.stdout)}
        n_passed, n_cases = (sum(line[key] for line in report.values()) for key in ("passed", "cases"))
        return {**report, "all": passed(n_passed, n_cases)}


def passed(n_passed: int, n_cases: int) -> dict:
    """A pass rate with Wilson's 95 % interval."""
    share, weight = n_passed / n_cases, Z * Z / n_cases
    middle = (share + weight / 2) / (1 + weight)
    half = math.sqrt(share * (1 - share) * weight + weight * weight / 4) / (1 + weight)
    return {
        "cases": n_cases,
        "passed": n_passed,
        "rate": round(share, 3),
        "interval": [round(middle - half, 3), round(middle + half, 3)],
    }


def as_json(content: Content) -> dict:
    metadata = {"metadata": dict(content.metadata)} if content.metadata else {}
    if content.kind == "text":
        return {"text": content.turns[0][1], **metadata}
    if content.kind == "exchange":
        return {"prompt": content.turns[0][1], "reply": content.turns[1][1], **metadata}
    return {"messages": [turn(role, text) for role, text in content.turns], **metadata}


def turn(role: str, text: str) -> dict:
    if role.startswith("tool "):
        return {"role": "tool", "tool": role[5:], "text": text}
    if " calls " in role:
        return {"role": role.split(" ")[0], "tool": role.split(" calls ")[1], "text": text}
    return {"role": role, "text": text}


def evaluate(mixture: Mixture, program: Path, model: Path, n_cases: int) -> dict:
    judge = Program(program, model)
    report: dict = {"held_out": {}, "unseen": {}, "shipped": {}}
    for name, kinds in KINDS.items():
        split = "test" if name == "held_out" else "unseen"
        total = Tally()
        for kin in kinds:
            tally = judge_tasks(judge, tasks(mixture, split, kin, n_cases // len(kinds), seed=len(kin)))
            report[name][kin] = tally.summary()
            merge(total, tally)
        report[name]["all"] = total.summary()
    report["flips"] = flips(judge, mixture, n_cases // 2)
    total = Tally()
    for one in mixture.shipped:
        task = Task(one.policy, [(case.item, mixture.reply(one.policy, case)) for case in one.golden], one.name)
        tally = judge_tasks(judge, [task])
        report["shipped"][one.name] = tally.summary()
        merge(total, tally)
    report["shipped"]["all"] = total.summary()
    report["policy_test"] = judge.test([one.folder for one in mixture.shipped])
    return report


def tasks(mixture: Mixture, split: str, kin: str, n_items: int, seed: int) -> list[Task]:
    rng = random.Random(seed)
    n_policies = max(1, n_items // ITEMS_PER_POLICY)
    return [mixture.task(rng, split, kin, ITEMS_PER_POLICY, Sizes(6, 0.6)) for _ in range(n_policies)]


def judge_tasks(judge: Program, all_tasks: list[Task]) -> Tally:
    tally = Tally()
    for task in all_tasks:
        verdicts = judge.judge(task.policy, [item.content for item, _ in task.cases])
        for (item, reply), verdict in zip(task.cases, verdicts):
            tally.add(task.policy, item.content, reply, verdict)
    return tally


def flips(judge: Program, mixture: Mixture, n_items: int) -> dict:
    """One item under two policies that disagree about it: both answers must be right."""
    rng, both, n = random.Random(17), 0, 0
    for kin in ("categories", "labelled", "mixed"):
        for task in tasks(mixture, "test", kin, n_items // 3, seed=23 + len(kin)):
            named = [case for case in task.cases if task.policy.rule(case[1].code)]
            there = Task(task.policy, named, kin)
            back = flipped(rng, there)
            contents = [item.content for item, _ in named]
            first, second = judge.judge(there.policy, contents), judge.judge(back.policy, contents)
            for (_, a), (_, b), x, y in zip(there.cases, back.cases, first, second):
                both += is_right(a, x) and is_right(b, y)
                n += 1
    share = both / max(1, n)
    half = Z * math.sqrt(share * (1 - share) / max(1, n))
    return {
        "items": n,
        "both_right": round(share, 3),
        "interval": [round(max(0.0, share - half), 3), round(min(1.0, share + half), 3)],
        "policy_blind": 0.0,
    }


def is_right(reply: Reply, verdict: dict) -> bool:
    return {"violation": 1, "clear": 0}.get(verdict["outcome"]) == reply.side


def merge(total: Tally, part: Tally) -> None:
    for side in (0, 1):
        total.n[side] += part.n[side]
        total.right[side] += part.right[side]
        total.keyword[side] += part.keyword[side]
    total.label_right += part.label_right
    total.valid += part.valid
