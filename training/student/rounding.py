"""Simulate LiteRT's 8-bit arithmetic in PyTorch, so that training accounts for the rounding.

The method follows Jacob et al., "Quantization and training of neural networks for efficient
integer-arithmetic-only inference" (arXiv:1712.05877). Gradients pass for all values within the limits.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

LEVELS: Final = 255
WEIGHT_LEVELS: Final = 127  # on either side of zero
# The share of a map's values below its limit. Outliers are clipped, because they would make the steps coarse
# for all other values.
WITHIN: Final = 0.9995
SAMPLED_VALUES: Final = 2_000_000  # maximum number of values from which a limit is found


class Rounding(nn.Module):
    """Round maps to 256 levels from ``lower`` to a limit; leave them unchanged until the limit is found."""

    def __init__(self, lower: float = 0.0) -> None:
        super().__init__()
        self.lower = lower
        self.limit: torch.Tensor
        self.register_buffer("limit", torch.tensor(lower))

    @property
    def is_on(self) -> bool:
        """Whether maps are rounded."""
        return bool(self.limit > self.lower)

    def find_limit(self, maps: torch.Tensor) -> None:
        """Turn on rounding, with the quantile `WITHIN` of ``maps`` as the limit."""
        values = maps.flatten()
        values = values[:: max(1, len(values) // SAMPLED_VALUES)]
        rank = max(1, round(WITHIN * len(values)))
        self.limit.copy_(values.kthvalue(rank).values.clamp(min=self.lower + 1e-3))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Round maps of any shape."""
        if not self.is_on:
            return maps
        step = float(self.limit - self.lower) / LEVELS
        zero = round(-self.lower / step)
        return torch.fake_quantize_per_tensor_affine(maps, step, zero, 0, LEVELS)


def round_kernel(kernel: torch.Tensor) -> torch.Tensor:
    """Round a kernel ``(outputs, ...)`` to 255 levels, symmetric about zero, with one step per output."""
    with torch.no_grad():
        steps = (kernel.flatten(1).abs().amax(1) / WEIGHT_LEVELS).clamp(min=1e-12)
        zeros = torch.zeros(len(kernel), dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(kernel, steps, zeros, 0, -WEIGHT_LEVELS, WEIGHT_LEVELS)
