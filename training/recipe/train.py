"""Training: stages of growing tasks, checkpoints that can be resumed, and the matching skill measured throughout."""

from __future__ import annotations

import json
import math
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from .batch import Batch, Weights, make_batch
from .corpus.mixture import Mixture, Sizes, Task, flipped
from .network import Network
from .optim import optimisers
from .tokens import Coder


# Tokens drawn at random to compete with each pack's own.
RIVALS = 1024


@dataclass(frozen=True)
class Stage:
    """A stretch of training: what tasks are made of (`kin` → share), how large, until how many tokens.

    `bare` leaves out the system message, the schema and the fence: the matching alone, at half the price.
    """

    name: str
    until: int
    mix: dict[str, float]
    most_rules: int
    full: float
    n_items: int
    final_share: float
    quantised: bool = False
    flips: float = 0.1
    rest: float = 0.0
    bare: bool = False
    free_codes: bool = False
    tokens_per_step: int = 6000


@dataclass(frozen=True)
class Plan:
    """`tokens` is the whole length; learning rates fall to zero over the last `cool` part."""

    stages: tuple[Stage, ...]
    tokens: int
    matrix_lr: float = 0.004
    other_lr: float = 0.002
    warm_steps: int = 50
    cool: float = 0.4
    balance: float = 0.01
    seed: int = 11


def lr_share(plan: Plan, step: int, seen: int) -> float:
    warm = min(1.0, (step + 1) / plan.warm_steps)
    left = (1 - seen / plan.tokens) / plan.cool
    return warm * max(0.02, min(1.0, left))


class Trainer:
    def __init__(self, network: Network, coder: Coder, mixture: Mixture, plan: Plan, out: Path) -> None:
        self.network, self.coder, self.mixture, self.plan, self.out = network, coder, mixture, plan, out
        self.optimisers = optimisers(network, plan.matrix_lr, plan.other_lr)
        self.base_lrs = [[group["lr"] for group in opt.param_groups] for opt in self.optimisers]
        self.rng = random.Random(plan.seed)
        self.step, self.seen, self.seconds = 0, 0, 0.0
        self.recent: dict[str, list[float]] = {}

    def stage(self) -> Stage:
        return next((stage for stage in self.plan.stages if self.seen < stage.until), self.plan.stages[-1])

    def new_task(self, stage: Stage, split: str = "train") -> Task:
        kin = self.rng.choices(list(stage.mix), list(stage.mix.values()))[0]
        if kin == "shipped" and not any(one.train for one in self.mixture.shipped):
            kin = "mixed"
        task = self.mixture.task(self.rng, split, kin, stage.n_items, Sizes(stage.most_rules, stage.full, stage.free_codes))
        if self.rng.random() < stage.flips and not task.kin.startswith("shipped"):
            task = flipped(self.rng, task)
        return task

    def run(self, minutes: float) -> None:
        end = time.monotonic() + minutes * 60
        while self.seen < self.plan.tokens and time.monotonic() < end:
            start = time.monotonic()
            self.one_step()
            self.seconds += time.monotonic() - start
            if self.step % 20 == 0:
                self.report()
            if self.step % 200 == 0:
                self.save()
        self.save()

    def one_step(self) -> None:
        stage, plan = self.stage(), self.plan
        self.network.quantise(stage.quantised)
        self.network.train()
        batches, size = [], 0
        while size < stage.tokens_per_step:
            task = self.new_task(stage)
            if not task.cases:
                continue
            batch = make_batch(self.coder, task, self.rng, Weights(rest=stage.rest), stage.final_share, stage.bare)
            batches.append((task.kin.split(":")[0], batch))
            size += len(batch.pack.tokens)
        counted = sum(float(batch.weights.sum()) for _, batch in batches)
        for kin, batch in batches:
            loss, rows, right = self.loss(batch)
            (loss / counted + plan.balance * self.network.balance() / len(batches)).backward()
            self.note(kin, batch, rows, right, loss)
        share = lr_share(plan, self.step, self.seen)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for opt, lrs in zip(self.optimisers, self.base_lrs):
            for group, lr in zip(opt.param_groups, lrs):
                group["lr"] = lr * share
            opt.step()
            opt.zero_grad(set_to_none=True)
        self.step += 1
        self.seen += size

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Summed loss over counted tokens; which rows they are, and which of them were right.

        Tokens compete with those of their own pack and with some drawn at random: the whole vocabulary would
        cost as much as the network.
        """
        rows = batch.weights.nonzero().squeeze(1)
        rivals = torch.cat((batch.pack.tokens, batch.targets, torch.randint(self.network.shape.vocab_size, (RIVALS,)))).unique()
        place = torch.zeros(self.network.shape.vocab_size, dtype=torch.long)
        place[rivals] = torch.arange(len(rivals))
        targets = place[batch.targets[rows]]
        # Products in bfloat16 take two fifths of the time; sums, norms and weights stay float32.
        with torch.autocast("cpu", torch.bfloat16):
            hidden = self.network(batch.pack)
            logits = F.linear(hidden[rows], self.network.head.weight[rivals])
        each = F.cross_entropy(logits.float(), targets, reduction="none")
        return (each * batch.weights[rows]).sum(), rows, logits.argmax(-1) == targets

    def note(self, kin: str, batch: Batch, rows: Tensor, right: Tensor, loss: Tensor) -> None:
        """Keeps how often fit, first quoted word and code were right, given the true words before them."""
        place = torch.full((len(batch.targets),), -1)
        place[rows] = torch.arange(len(rows))
        code = [bool(right[place[span]].all()) for span in batch.codes]
        first = [bool(right[place[start]]) for start in batch.starts]
        fit = [bool(right[place[at]]) for at in batch.fits]
        self.recent.setdefault(f"{kin}.code", []).append(sum(code) / len(code))
        self.recent.setdefault(f"{kin}.words", []).append(sum(first) / len(first))
        self.recent.setdefault(f"{kin}.fit", []).append(sum(fit) / len(fit))
        self.recent.setdefault("loss", []).append(float(loss.detach()) / float(batch.weights.sum()))

    def report(self) -> None:
        means = {key: round(sum(values) / len(values), 3) for key, values in sorted(self.recent.items())}
        self.recent = {}
        line = {"step": self.step, "tokens": self.seen, "stage": self.stage().name, "per_s": round(self.seen / self.seconds)}
        text = json.dumps({**line, **means})
        with (self.out / "train.log.jsonl").open("a") as log:
            log.write(text + "\n")
        print(text, flush=True)

    def save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "shape": asdict(self.network.shape),
            "optimisers": [opt.state_dict() for opt in self.optimisers],
            "rng": self.rng.getstate(),
            "step": self.step,
            "seen": self.seen,
            "seconds": self.seconds,
        }
        part = self.out / "checkpoint.pt.part"
        torch.save(state, part)
        part.rename(self.out / "checkpoint.pt")

    def resume(self) -> bool:
        path = self.out / "checkpoint.pt"
        if not path.is_file():
            return False
        state = torch.load(path, weights_only=False)
        self.network.load_state_dict(state["network"])
        for opt, saved in zip(self.optimisers, state["optimisers"]):
            opt.load_state_dict(saved)
        self.rng.setstate(state["rng"])
        self.step, self.seen, self.seconds = state["step"], state["seen"], state["seconds"]
        return True
