"""The multi-level attention classifier (Yu et al., arXiv:1803.02353) in numpy, with BatchNorm folded in.

The classifier is a stack of dense layers with ReLU.  A *level* on some of these layers computes, per patch
and class, a score (sigmoid) and an attention (softmax over the classes), and predicts the mean of the scores
over the patches, weighted by the attention.  A last dense layer with a sigmoid combines the predictions of
the levels.
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
    """``x @ kernel + bias``, with float32 kernel ``(inputs, outputs)`` and bias ``(outputs,)``."""

    kernel: Array
    bias: Array

    def __call__(self, x: Array) -> Array:
        # A single product of all rows, so that the kernel, which is larger, passes through the cache once.
        rows = x.reshape(-1, x.shape[-1]) @ self.kernel
        return rows.reshape(*x.shape[:-1], -1) + self.bias

    def folded(self, gamma: Array, beta: Array, mean: Array, variance: Array, epsilon: float) -> Dense:
        """Fold the BatchNorm that follows into this layer (Ioffe & Szegedy, arXiv:1502.03167)."""
        scale = gamma.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)
        kernel = self.kernel * scale
        bias = (self.bias.astype(np.float64) - mean) * scale + beta
        return Dense(kernel.astype(np.float32), bias.astype(np.float32))


@dataclass(frozen=True, slots=True)
class Level:
    """Scores and attention computed from one hidden layer.

    Attributes
    ----------
    block
        Index of its hidden layer, from 0.
    dense
        ``(hidden, 2 * classes)``: the first half of the outputs are the scores of the classes, the second
        half their attention.
    """

    block: int
    dense: Dense

    def pool(self, hidden: Array) -> Array:
        """Pool ``(..., patches, hidden)`` over the patches to ``(..., classes)``, each in 0..1."""
        scores, attention = np.split(self.dense(hidden), 2, axis=-1)
        weights = np.clip(softmax(attention), ATTENTION_EPSILON, 1 - ATTENTION_EPSILON)
        weights /= weights.sum(axis=-2, keepdims=True)
        return np.asarray((sigmoid(scores) * weights).sum(axis=-2))


@dataclass(frozen=True, slots=True)
class AttentionHead:
    """The complete classifier.

    ``output`` is None if the prediction of a single level is the result (single attention).

    Raises
    ------
    BundleInvalidError
        If the shapes of the layers do not match.
    """

    hidden: tuple[Dense, ...]
    levels: tuple[Level, ...]
    output: Dense | None

    def __post_init__(self) -> None:
        if not self.hidden or not self.levels:
            raise BundleInvalidError(
                "the attention head must have at least one hidden layer and one level, "
                f"got {len(self.hidden)} and {len(self.levels)}"
            )
        if self.output is None and len(self.levels) > 1:
            raise BundleInvalidError(
                f"the attention head has {len(self.levels)} levels, but no output layer that combines them"
            )
        width = EMBEDDING_SIZE
        for index, dense in enumerate(self.hidden):
            _check_dense(dense, f"hidden_{index}", width)
            width = len(dense.bias)
        for index, level in enumerate(self.levels):
            if not 0 <= level.block < len(self.hidden):
                raise BundleInvalidError(
                    f"level_{index} refers to hidden layer {level.block}, which does not exist"
                )
            _check_dense(level.dense, f"level_{index}", len(self.hidden[level.block].bias), 2 * self.classes)
        if self.output is not None:
            _check_dense(self.output, "output", len(self.levels) * self.classes, self.classes)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.levels[0].dense.bias) // 2

    def __call__(self, embeddings: Array) -> Array:
        """Compute the class probabilities of one or several clips.

        Parameters
        ----------
        embeddings
            ``(..., patches, 128)`` float32, dequantized.

        Returns
        -------
        ``(..., classes)`` float32, each in 0..1; they do not sum to 1, because a clip can contain several
        classes.
        """
        activations, x = [], embeddings
        for dense in self.hidden:
            x = np.maximum(dense(x), 0)
            activations.append(x)
        pooled = np.concatenate([level.pool(activations[level.block]) for level in self.levels], axis=-1)
        return pooled if self.output is None else sigmoid(self.output(pooled))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Build the classifier from arrays of any float dtype, named as in the result of `arrays`.

        Raises
        ------
        BundleInvalidError
            If an array is missing or has another shape.
        """

        def array(name: str) -> NDArray[Any]:
            try:
                return arrays[name]
            except KeyError as error:
                raise BundleInvalidError(f"the attention head lacks the array {name}") from error

        def dense(name: str) -> Dense:
            kernel, bias = array(f"{name}/kernel"), array(f"{name}/bias")
            if kernel.ndim != 2 or bias.ndim != 1:
                raise BundleInvalidError(
                    f"{name}: expected a kernel of two dimensions and a bias of one, "
                    f"got the shapes {kernel.shape} and {bias.shape}"
                )
            return Dense(kernel.astype(np.float32, copy=False), bias.astype(np.float32, copy=False))

        def level(name: str) -> Level:
            block = array(f"{name}/block")
            if block.shape != () or block.dtype.kind not in "iu":
                raise BundleInvalidError(
                    f"{name}/block must be a single integer, got {block.dtype} of shape {block.shape}"
                )
            return Level(int(block), dense(name))

        def numbered(kind: str) -> Iterator[str]:
            return takewhile(
                lambda name: f"{name}/kernel" in arrays, (f"{kind}_{index}" for index in count())
            )

        hidden = tuple(map(dense, numbered("hidden")))
        levels = tuple(map(level, numbered("level")))
        return cls(hidden, levels, dense("output") if "output/kernel" in arrays else None)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays ``{hidden_I,level_J,output}/{kernel,bias}`` and ``level_J/block`` by name."""
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
    """Compute ``1 / (1 + exp(-x))`` by tanh, which does not overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)), dtype=x.dtype)


def softmax(x: Array) -> Array:
    """Compute the softmax over the last axis."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def _check_dense(dense: Dense, name: str, inputs: int, outputs: int | None = None) -> None:
    expected = (inputs, len(dense.bias) if outputs is None else outputs)
    if dense.kernel.shape != expected or dense.bias.shape != expected[1:]:
        raise BundleInvalidError(
            f"{name}: expected a kernel of shape {expected} and a bias of shape {expected[1:]}, "
            f"got {dense.kernel.shape} and {dense.bias.shape}"
        )
