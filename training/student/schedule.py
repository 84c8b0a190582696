"""What both trainings have in common: the learning rate over time, and the running mean of the weights."""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

WARM_UP_STEPS: Final = 200
WARM_UP_SHARE: Final = 0.05  # of the time, where that is shorter
SMALLEST_RATE: Final = 0.01


def rate(share: float, step: int, decay_share: float) -> float:
    """The learning rate, as a share of the full one: it rises for a moment, stays, and falls at the end.

    Parameters
    ----------
    share
        How much of the time is over, 0 to 1.
    step
        How many steps were made.
    decay_share
        How much of the time it falls.
    """
    warm = min(1.0, max((step + 1) / WARM_UP_STEPS, share / WARM_UP_SHARE))
    return warm * max(SMALLEST_RATE, min(1.0, (1 - share) / decay_share))


def follow(mean: nn.Module, module: nn.Module, step: int, horizon_steps: int) -> None:
    """Move a running mean of weights, and of limits of rounding, towards the weights.

    It looks back over the last tenth of all steps, and over ``horizon_steps`` at most.
    """
    share = 1 / min(horizon_steps, 1 + step / 10)
    with torch.no_grad():
        pairs = zip(mean.state_dict().values(), module.state_dict().values(), strict=True)
        means, values = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
        torch._foreach_lerp_(means, values, share)
