"""Channels of one range: what 8 bits need that all channels of a map share.

YAMNet's channels differ in range a thousandfold, so that most would vanish in the steps of the largest.  A
ReLU lets them be scaled at will: what makes a channel smaller is made good where it is heard.  After Nagel et
al., "Data-free quantization through weight equalization and bias correction" (arXiv:1906.04721); the ranges
are those of real sounds.
"""

from __future__ import annotations

from typing import Final

import torch

from training.student.network import Student

LEAST_RANGE: Final = 1e-3  # of the largest: a channel that is hardly ever heard stays quiet
SMALLEST_WEIGHT: Final = 1e-6


def equalize(student: Student, log_mels: torch.Tensor) -> None:
    """Scale the channels of every map to about one range; the student computes what it did.

    Parameters
    ----------
    student
        Not rounding yet.
    log_mels
        ``(n, 96, 64)`` with the teacher's offset: the sounds in which ranges are seen.
    """
    layers = student.trunk.layers
    heard_by = [*([layer.weight] for layer in layers[1:])]
    heard_by.append([student.bottleneck.weight, student.hint_from_pooled.weight])
    x = log_mels.unsqueeze(1)
    with torch.no_grad():
        for layer, weights in zip(layers, heard_by, strict=True):
            x = layer(x)
            ranges = x.amax((0, 2, 3))
            scale = ranges.clamp(min=LEAST_RANGE * float(ranges.max()))
            if layer.groups > 1:
                # Pointwise kernels, which are rounded by the output, make good half of it only.
                inputs = weights[0].flatten(1).abs().amax(0).clamp(min=SMALLEST_WEIGHT)
                scale = (scale / inputs).sqrt()
            scale /= scale.log().mean().exp()
            layer.weight /= scale.view(-1, 1, 1, 1)
            layer.bias /= scale
            for weight in weights:  # a depthwise one has one input for each output
                weight *= scale.view(-1, 1, 1, 1) if weight.shape[1] == 1 else _row(scale, weight.ndim)
            x /= _row(scale, 4)


def _row(scale: torch.Tensor, dimensions: int) -> torch.Tensor:
    """Shaped to multiply what has its channels in the second dimension."""
    return scale.view(1, -1, *[1] * (dimensions - 2))
