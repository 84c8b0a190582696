"""The multi-level attention classifier (Yu et al., arXiv:1803.02353), in numpy, BatchNorm folded in.

A stack of dense layers with ReLU; on some of them a *level*: per patch and class a score (sigmoid) and an
attention (softmax over the classes), whose weighted mean over the patches is the level's opinion; a last
dense layer with a sigmoid combines the levels' opinions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import ATTENTION_EPSILON, EMBEDDING_SIZE
from audio_classifier.errors import BundleInvalidError

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Dense:
    """``x @ kernel + bias``: kernel ``(inputs, outputs)`` float32, bias ``(outputs,)`` float32."""

    kernel: Array
    bias: Array

    def __call__(self, x: Array) -> Array:
        # One product of all rows: the kernel, which is larger, passes through the cache once.
        rows = x.reshape(-1, x.shape[-1]) @ self.kernel
        return rows.reshape(*x.shape[:-1], -1) + self.bias

    def folded(self, gamma: Array, beta: Array, mean: Array, variance: Array, epsilon: float) -> Dense:
        """One layer for this and the BatchNorm behind it (Ioffe & Szegedy, arXiv:1502.03167)."""
        scale = gamma.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)
        kernel = self.kernel * scale
        bias = (self.bias.astype(np.float64) - mean) * scale + beta
        return Dense(kernel.astype(np.float32), bias.astype(np.float32))


@dataclass(frozen=True, slots=True)
class Level:
    """Scores and attention on one hidden layer.

    Attributes
    ----------
    block
        The hidden layer it looks at, from 0.
    dense
        ``(hidden, 2 * classes)``: the first half of the outputs scores the classes, the second half attends
        to them.
    """

    block: int
    dense: Dense

    def pool(self, hidden: Array) -> Array:
        """``(..., patches, hidden)`` -> ``(..., classes)``, each in 0..1."""
        scores, attention = np.split(self.dense(hidden), 2, axis=-1)
        weights = np.clip(softmax(attention), ATTENTION_EPSILON, 1 - ATTENTION_EPSILON)
        weights /= weights.sum(axis=-2, keepdims=True)
        return np.asarray((sigmoid(scores) * weights).sum(axis=-2))


@dataclass(frozen=True, slots=True)
class AttentionHead:
    """The whole classifier.  ``output`` is None where one level alone is the answer (single attention).

    Raises
    ------
    BundleInvalidError
        If the layers do not fit onto each other.
    """

    hidden: tuple[Dense, ...]
    levels: tuple[Level, ...]
    output: Dense | None

    def __post_init__(self) -> None:
        if not self.hidden or not self.levels:
            raise BundleInvalidError("the attention head needs a hidden layer and a level at least")
        if self.output is None and len(self.levels) > 1:
            raise BundleInvalidError("the attention head has several levels, but nothing that combines them")
        width = EMBEDDING_SIZE
        for index, dense in enumerate(self.hidden):
            _check_dense(dense, f"hidden_{index}", width)
            width = len(dense.bias)
        for index, level in enumerate(self.levels):
            if not 0 <= level.block < len(self.hidden):
                raise BundleInvalidError(
                    f"level_{index} looks at hidden layer {level.block}, which does not exist"
                )
            _check_dense(level.dense, f"level_{index}", len(self.hidden[level.block].bias), 2 * self.classes)
        if self.output is not None:
            _check_dense(self.output, "output", len(self.levels) * self.classes, self.classes)

    @property
    def classes(self) -> int:
        """How many classes it tells apart."""
        return len(self.levels[0].dense.bias) // 2

    def __call__(self, embeddings: Array) -> Array:
        """Class probabilities of one clip, or of several.

        Parameters
        ----------
        embeddings
            ``(..., patches, 128)`` float32, dequantised.

        Returns
        -------
        ``(..., classes)`` float32, each in 0..1; they do not sum to 1, for several classes may be heard at
        once.
        """
        activations, x = [], embeddings
        for dense in self.hidden:
            x = np.maximum(dense(x), 0)
            activations.append(x)
        pooled = np.concatenate([level.pool(activations[level.block]) for level in self.levels], axis=-1)
        return pooled if self.output is None else sigmoid(self.output(pooled))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """From the names that `arrays` gives; any float dtype.

        Raises
        ------
        BundleInvalidError
            If an array is missing or misshapen.
        """

        def array(name: str) -> NDArray[Any]:
            try:
                return arrays[name]
            except KeyError as error:
                raise BundleInvalidError(f"the attention head lacks {name}") from error

        def dense(name: str) -> Dense:
            kernel, bias = array(f"{name}/kernel"), array(f"{name}/bias")
            if kernel.ndim != 2 or bias.ndim != 1:
                raise BundleInvalidError(
                    f"{name}: a kernel of shape {kernel.shape}, a bias of shape {bias.shape}"
                )
            return Dense(kernel.astype(np.float32, copy=False), bias.astype(np.float32, copy=False))

        def level(name: str) -> Level:
            block = array(f"{name}/block")
            if block.shape != () or block.dtype.kind not in "iu":
                raise BundleInvalidError(f"{name}/block is not one whole number")
            return Level(int(block), dense(name))

        def numbered(kind: str) -> Iterator[str]:
            return takewhile(
                lambda name: f"{name}/kernel" in arrays, (f"{kind}_{index}" for index in count())
            )

        hidden = tuple(map(dense, numbered("hidden")))
        levels = tuple(map(level, numbered("level")))
        return cls(hidden, levels, dense("output") if "output/kernel" in arrays else None)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays ``{hidden_I,level_J,output}/{kernel,bias}`` and ``level_J/block``, by name."""
        layers = {f"hidden_{index}": dense for index, dense in enumerate(self.hidden)}
        layers |= {f"level_{index}": level.dense for index, level in enumerate(self.levels)}
        if self.output is not None:
            layers["output"] = self.output
        arrays: dict[str, NDArray[Any]] = {}
        for name, layer in layers.items():
            arrays |= {f"{name}/kernel": layer.kernel, f"{name}/bias": layer.bias}
        blocks = {f"level_{index}/block": np.array(level.block) for index, level in enumerate(self.levels)}
        return arrays | blocks


def sigmoid(x: Array) -> Array:
    """``1 / (1 + exp(-x))``, by tanh, which does not overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)), dtype=x.dtype)


def softmax(x: Array) -> Array:
    """Softmax over the last axis."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def _check_dense(dense: Dense, name: str, inputs: int, outputs: int | None = None) -> None:
    wanted = (inputs, len(dense.bias) if outputs is None else outputs)
    if dense.kernel.shape != wanted or dense.bias.shape != wanted[1:]:
        raise BundleInvalidError(
            f"{name}: kernel {dense.kernel.shape}, bias {dense.bias.shape}, where a kernel {wanted} belongs"
        )
