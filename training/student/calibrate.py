"""What makes probabilities mean something: fitted on recordings that nothing else was learned from.

A head that saw its recordings often is too sure of them, and balanced sampling makes rare classes too likely.
One scale for all logits and an offset for each class, which is zero unless the recordings speak for
another, put both right.  They are folded into the last layer, so that a bundle needs nothing new.
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
OFFSET_DEVIATION: Final = 0.5  # how large offsets are believed to be beforehand


def fit(logits: NDArray[np.float32], targets: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
    """The scale and the offsets that make ``(n, classes)`` logits most likely: maximum a posteriori.

    Parameters
    ----------
    targets
        ``(n, classes)`` probabilities.

    Returns
    -------
    The scale, above 0, and the offsets ``(classes,)``.
    """
    given, wanted = torch.from_numpy(logits).double(), torch.from_numpy(targets).double()
    log_scale = torch.zeros((), dtype=torch.float64, requires_grad=True)
    offsets = torch.zeros(logits.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_scale, offsets], max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        calibrated = given * log_scale.exp() + offsets
        surprise = functional.binary_cross_entropy_with_logits(calibrated, wanted, reduction="sum")
        total = surprise + (offsets / OFFSET_DEVIATION).square().sum() / 2
        total.backward()
        return total

    optimizer.step(closure)
    return float(log_scale.detach().exp()), offsets.detach().float().numpy()


def calibrated(
    head: AttentionHead, scale: float, offsets: NDArray[np.float32], classes: NDArray[np.intp]
) -> AttentionHead:
    """The head with ``scale`` and ``offsets`` of some of its classes folded into its last layer."""
    assert head.output is not None
    kernel, bias = head.output.kernel.copy(), head.output.bias.copy()
    kernel[:, classes] *= np.float32(scale)
    bias[classes] = bias[classes] * np.float32(scale) + offsets
    return replace(head, output=Dense(kernel, bias))
