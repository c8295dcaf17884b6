"""Muon for the matrices inside the blocks, AdamW for the rest."""

from __future__ import annotations

import torch
from torch import Tensor

from .network import Network

# Coefficients of the quintic Newton-Schulz step (Jordan 2024): fast towards singular values near 1.
STEPS, A, B, C = 5, 3.4445, -4.7750, 2.0315


def orthogonal(update: Tensor) -> Tensor:
    """The nearest matrix with singular values near 1; works on stacks of matrices."""
    x = (update / (update.norm(dim=(-2, -1), keepdim=True) + 1e-7)).bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.transpose(-2, -1)
    for _ in range(STEPS):
        gram = x @ x.transpose(-2, -1)
        x = A * x + (B * gram + C * gram @ gram) @ x
    return (x.transpose(-2, -1) if tall else x).float()


class Muon(torch.optim.Optimizer):
    def __init__(self, matrices: list[Tensor], lr: float, momentum: float = 0.95, decay: float = 0.02) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            by_shape: dict[tuple, list[Tensor]] = {}
            for matrix in group["params"]:
                if matrix.grad is not None:
                    by_shape.setdefault(tuple(matrix.shape[-2:]), []).append(matrix)
            for members in by_shape.values():
                self.step_alike(members, group)

    def step_alike(self, members: list[Tensor], group: dict) -> None:
        """One Newton-Schulz run for all matrices of one shape."""
        updates = []
        for matrix in members:
            mean = self.state[matrix].setdefault("mean", torch.zeros_like(matrix))
            mean.lerp_(matrix.grad, 1 - group["momentum"])
            update = matrix.grad.lerp(mean, group["momentum"])
            updates.append(update.reshape(-1, *matrix.shape[-2:]))
        rows, columns = members[0].shape[-2:]
        scale = max(1.0, rows / columns) ** 0.5
        turned = orthogonal(torch.cat(updates)).split([update.shape[0] for update in updates])
        for matrix, update in zip(members, turned):
            matrix.mul_(1 - group["lr"] * group["decay"])
            matrix.add_(update.reshape(matrix.shape), alpha=-group["lr"] * scale)


def optimisers(network: Network, matrix_lr: float, other_lr: float) -> list[torch.optim.Optimizer]:
    matrices, tables, small = [], [], []
    for name, parameter in network.named_parameters():
        if name.startswith("layers") and parameter.ndim >= 2 and "router" not in name and not name.endswith("_bias"):
            matrices.append(parameter)
        elif parameter.ndim >= 2 and ("embed" in name or "head" in name):
            tables.append(parameter)
        else:
            small.append(parameter)
    adam = torch.optim.AdamW(
        [{"params": tables, "lr": other_lr}, {"params": small, "lr": other_lr}],
        betas=(0.9, 0.98), weight_decay=0.0,
    )
    return [Muon(matrices, matrix_lr), adam]
