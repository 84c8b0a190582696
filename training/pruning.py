"""The teacher with fewer channels: where the student begins.

Of each layer those channels are kept from which the next layer's outputs can be told best, by orthogonal
matching pursuit; then, from the first layer on, what is left of the pointwise kernels is fitted anew by least
squares, so that each layer makes up for what the ones before it lost.  After He et al., "Channel pruning for
accelerating very deep neural networks" (arXiv:1707.06168), who choose by LASSO.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import nn

from training.student import Trunk
from training.teacher import Layer

BATCH_PATCHES: Final = 100
GRAM_ROWS: Final = 60_000  # of a layer's outputs; more tell nothing new
RIDGE: Final = 1e-4  # of the mean variance
DEPENDENT: Final = 1e-6  # of a channel's variance: what is left of it is rounding


def prune(layers: Sequence[Layer], channels: Sequence[int], log_mels: torch.Tensor) -> Trunk:
    """Keep some channels of each layer.

    Parameters
    ----------
    layers
        The teacher's; see `teacher.read_layers`.
    channels
        How many to keep of each layer.
    log_mels
        ``(n, 96, 64)`` with the teacher's offset: the sounds in which its outputs are to be kept.
    """
    teacher, classes = whole(layers[:-1]), torch.tensor(layers[-1].kernel)
    with torch.no_grad():
        x = _batched(teacher.begin, log_mels)
        kept, targets = [], []
        for block, keep in zip(teacher.blocks, channels[:-1], strict=True):
            spread = _batched(block.spread, x)
            kernel = block.pointwise.weight.flatten(1)
            kept.append(choose(covariance(_rows(spread)), kernel, keep))
            x = _batched(block.pointwise, spread)
            targets.append(_rows(x))
            x = torch.relu(x)
        kept.append(choose(covariance(x.mean((2, 3))), classes, channels[-1]))
        return _fit(teacher, kept, targets, log_mels)


def whole(layers: Sequence[Layer]) -> Trunk:
    """The teacher's convolutions."""
    stem, depthwise, pointwise = layers[0], layers[1::2], layers[2::2]
    trunk = Trunk([len(layer.bias) for layer in (stem, *pointwise)])
    with torch.no_grad():
        _set(trunk.stem, *_tensors(stem))
        for block, first, second in zip(trunk.blocks, depthwise, pointwise, strict=True):
            kernel, bias = _tensors(first)
            _set(block.depthwise, kernel.transpose(0, 1), bias)
            _set(block.pointwise, *_tensors(second))
    return trunk


def choose(covariances: torch.Tensor, kernel: torch.Tensor, keep: int) -> torch.Tensor:
    """The channels from which, all together, ``kernel @ all channels`` can be told best.

    Parameters
    ----------
    covariances
        Of the channels, ``(n, n)``.
    kernel
        ``(outputs, n)``.
    keep
        How many, at most n.

    Returns
    -------
    Their indices, rising.
    """
    left = covariances.clone()
    wanted = left @ kernel.T.to(left.dtype)
    smallest = DEPENDENT * left.diagonal().clamp(min=DEPENDENT)
    chosen = torch.zeros(len(left), dtype=torch.bool)
    for _ in range(keep):
        variances = left.diagonal()
        gains = wanted.square().sum(1) / variances.clamp(min=DEPENDENT**2)
        gains[variances < smallest] = 0
        gains[chosen] = -1
        best = int(gains.argmax())
        chosen[best] = True
        if gains[best] > 0:
            column, row, variance = left[:, best].clone(), wanted[best].clone(), float(variances[best])
            left -= torch.outer(column, column) / variance
            wanted -= torch.outer(column, row) / variance
    return chosen.nonzero().flatten()


def covariance(rows: torch.Tensor) -> torch.Tensor:
    """Of ``(n, channels)``, in double precision."""
    some = rows[:: max(1, len(rows) // GRAM_ROWS)].double()
    return torch.cov(some.T, correction=0)


def _fit(
    teacher: Trunk, kept: list[torch.Tensor], targets: list[torch.Tensor], log_mels: torch.Tensor
) -> Trunk:
    trunk = Trunk([len(channels) for channels in kept])
    _set(trunk.stem, teacher.stem.weight[kept[0]], teacher.stem.bias[kept[0]])
    x = _batched(trunk.begin, log_mels)
    pairs = zip(trunk.blocks, teacher.blocks, kept[:-1], kept[1:], targets, strict=True)
    for block, original, inputs, outputs, target in pairs:
        _set(block.depthwise, original.depthwise.weight[inputs], original.depthwise.bias[inputs])
        spread = _batched(block.spread, x)
        kernel, bias = least_squares(_rows(spread), target[:, outputs])
        _set(block.pointwise, kernel[:, :, None, None], bias)
        x = torch.relu(_batched(block.pointwise, spread))
    return trunk


def least_squares(inputs: torch.Tensor, outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Kernel ``(outputs, inputs)`` and bias that tell ``(n, outputs)`` best from ``(n, inputs)``."""
    given, wanted = inputs.double(), outputs.double()
    means, wanted_means = given.mean(0), wanted.mean(0)
    given -= means
    gram = given.T @ given
    gram += RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    kernel = torch.linalg.solve(gram, given.T @ (wanted - wanted_means)).T
    return kernel.float(), (wanted_means - kernel @ means).float()


def _tensors(layer: Layer) -> tuple[torch.Tensor, torch.Tensor]:
    """Kernel ``(outputs, inputs, height, width)`` and bias."""
    return torch.tensor(layer.kernel).permute(0, 3, 1, 2), torch.tensor(layer.bias)


def _set(layer: nn.Conv2d, weight: torch.Tensor, bias: torch.Tensor) -> None:
    layer.weight.copy_(weight)
    assert layer.bias is not None
    layer.bias.copy_(bias)


def _batched(layer: object, x: torch.Tensor) -> torch.Tensor:
    assert callable(layer)
    return torch.cat([layer(part) for part in x.split(BATCH_PATCHES)])


def _rows(maps: torch.Tensor) -> torch.Tensor:
    return maps.permute(0, 2, 3, 1).flatten(0, 2)
