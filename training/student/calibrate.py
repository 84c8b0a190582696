"""Calibrate the head's probabilities on recordings that are not used for anything else.

A head that is trained on the same recordings many times is overconfident, and balanced sampling makes rare
classes too likely. One scale for all logits and one offset per class correct both. The offsets have a prior
around zero, so that the offset of a class with little evidence is small. Scale and offsets are folded into
the last layer, so that the bundle format does not need them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from audio_classifier.model.attention import AttentionHead, Dense

STEPS: Final = 60
OFFSET_DEVIATION: Final = 0.5  # standard deviation of the offsets' prior


def fit(logits: NDArray[np.float32], targets: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
    """Fit the scale and the offsets by maximum a posteriori.

    Parameters
    ----------
    logits
        ``(n, classes)``, the head's logits.
    targets
        ``(n, classes)``, the teacher's probabilities.

    Returns
    -------
    The scale, which is positive, and the offsets ``(classes,)``.
    """
    actual, expected = torch.from_numpy(logits).double(), torch.from_numpy(targets).double()
    log_scale = torch.zeros((), dtype=torch.float64, requires_grad=True)
    offsets = torch.zeros(logits.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_scale, offsets], max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        calibrated = actual * log_scale.exp() + offsets
        cross_entropy = functional.binary_cross_entropy_with_logits(calibrated, expected, reduction="sum")
        total = cross_entropy + (offsets / OFFSET_DEVIATION).square().sum() / 2
        total.backward()
        return total

    optimizer.step(closure)
    return float(log_scale.detach().exp()), offsets.detach().float().numpy()


def calibrated(
    head: AttentionHead, scale: float, offsets: NDArray[np.float32], classes: NDArray[np.intp]
) -> AttentionHead:
    """Return the head with the scale and offsets of ``classes`` folded into its last layer."""
    assert head.output is not None
    kernel, bias = head.output.kernel.copy(), head.output.bias.copy()
    kernel[:, classes] *= np.float32(scale)
    bias[classes] = bias[classes] * np.float32(scale) + offsets
    return replace(head, output=Dense(kernel, bias))
