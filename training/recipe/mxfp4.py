"""MXFP4: groups of 32 values along the input axis, 4-bit floats with one power-of-two scale a group."""

from __future__ import annotations

import torch

GROUP = 32
MAGNITUDES = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
# Half-way points between neighbouring magnitudes.
BORDERS = (MAGNITUDES[1:] + MAGNITUDES[:-1]) / 2
SCALE_BIAS = 127


def scale_exponents(groups: torch.Tensor) -> torch.Tensor:
    """The exponent at which a group's largest magnitude rounds to at most 6."""
    largest = groups.abs().amax(-1, keepdim=True).clamp_min(2.0**-100)
    exponent = torch.floor(torch.log2(largest)) - 2
    return exponent + (largest > 7 * torch.exp2(exponent)).float()


def codes(groups: torch.Tensor, exponent: torch.Tensor) -> torch.Tensor:
    """Index of the nearest magnitude for each value."""
    return torch.bucketize((groups / torch.exp2(exponent)).abs(), BORDERS)


def rounded(weight: torch.Tensor) -> torch.Tensor:
    """The weight as MXFP4 would store it; gradients pass straight through."""
    with torch.no_grad():
        groups = weight.detach().unflatten(-1, (-1, GROUP))
        exponent = scale_exponents(groups)
        scaled = groups * torch.exp2(-exponent)
        magnitude = scaled.abs()
        # 0.5 steps below 2, 1.0 steps below 4, 2.0 steps up to 6: the same rounding without a table.
        step = torch.where(magnitude < 2, 0.5, torch.where(magnitude < 4, 1.0, 2.0))
        near = (torch.round(magnitude / step) * step).clamp_max(6.0)
        values = (near * scaled.sign() * torch.exp2(exponent)).flatten(-2)
    return weight + (values - weight).detach()


def packed(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`weight` [..., n_in] as blocks [..., n_in/32, 16] and scales [..., n_in/32], both bytes."""
    groups = rounded(weight.float()).unflatten(-1, (-1, GROUP))
    exponent = scale_exponents(weight.float().unflatten(-1, (-1, GROUP)))
    code = codes(groups, exponent).to(torch.uint8) | ((groups < 0).to(torch.uint8) << 3)
    blocks = code[..., 0::2] | (code[..., 1::2] << 4)
    return blocks, (exponent.squeeze(-1) + SCALE_BIAS).to(torch.uint8)
