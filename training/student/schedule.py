"""Learning-rate schedule and running mean of weights, for the embedding network and the head."""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

WARM_UP_STEPS: Final = 200
WARM_UP_SHARE: Final = 0.05  # of the training time, if that is shorter
SMALLEST_FACTOR: Final = 0.01


def learning_rate_factor(share: float, step: int, decay_share: float) -> float:
    """Return the factor of the full learning rate: a warm-up, a constant part and a linear decay.

    Parameters
    ----------
    share
        Share of the training time that has passed, 0 to 1.
    step
        Number of steps so far.
    decay_share
        Share of the training time over which the rate decays.
    """
    warm_up = min(1.0, max((step + 1) / WARM_UP_STEPS, share / WARM_UP_SHARE))
    return warm_up * max(SMALLEST_FACTOR, min(1.0, (1 - share) / decay_share))


def update_mean(mean: nn.Module, module: nn.Module, step: int, horizon_steps: int) -> None:
    """Update a running mean of weights and rounding limits.

    The mean covers about the last tenth of all steps, and at most ``horizon_steps``.
    """
    share = 1 / min(horizon_steps, 1 + step / 10)
    with torch.no_grad():
        pairs = zip(mean.state_dict().values(), module.state_dict().values(), strict=True)
        means, values = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
        torch._foreach_lerp_(means, values, share)
