"""Equalise the ranges of channels, because all channels of a map share one 8-bit quantisation range.

The ranges of YAMNet's channels differ by a factor of a thousand, so the steps of the largest would be too
coarse for most of the others. A channel after a ReLU can be scaled freely if the layers that read it
compensate for the scale. The method follows Nagel et al., "Data-free quantization through weight equalization
and bias correction" (arXiv:1906.04721), but with ranges measured on real audio.
"""

from __future__ import annotations

from typing import Final

import torch

from training.student.network import Student

LEAST_RANGE: Final = 1e-3  # relative to the largest, so that channels that are nearly zero are not amplified
SMALLEST_WEIGHT: Final = 1e-6


def equalize(student: Student, log_mels: torch.Tensor) -> None:
    """Scale the channels of every map to about the same range, without changing the student's outputs.

    Parameters
    ----------
    student
        Must not round yet.
    log_mels
        ``(n, 96, 64)`` with the teacher's log offset, on which the ranges are measured.
    """
    layers = student.trunk.layers
    readers = [*([layer.weight] for layer in layers[1:])]
    readers.append([student.bottleneck.weight, student.hint_from_pooled.weight])
    x = log_mels.unsqueeze(1)
    with torch.no_grad():
        for layer, weights in zip(layers, readers, strict=True):
            x = layer(x)
            ranges = x.amax((0, 2, 3))
            scale = ranges.clamp(min=LEAST_RANGE * float(ranges.max()))
            if layer.groups > 1:
                # A pointwise kernel is rounded per output, so it compensates for half of the range only.
                inputs = weights[0].flatten(1).abs().amax(0).clamp(min=SMALLEST_WEIGHT)
                scale = (scale / inputs).sqrt()
            scale /= scale.log().mean().exp()
            layer.weight /= scale.view(-1, 1, 1, 1)
            layer.bias /= scale
            for weight in weights:  # a depthwise kernel has one input per output
                weight *= scale.view(-1, 1, 1, 1) if weight.shape[1] == 1 else _row(scale, weight.ndim)
            x /= _row(scale, 4)


def _row(scale: torch.Tensor, dimensions: int) -> torch.Tensor:
    """Reshape a scale per channel to multiply a tensor whose second dimension is the channels."""
    return scale.view(1, -1, *[1] * (dimensions - 2))
