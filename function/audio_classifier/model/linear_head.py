"""A head of one's own classes: logistic regression on the mean and the maximum of the patches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import EMBEDDING_SIZE
from audio_classifier.errors import BundleInvalidError
from audio_classifier.model.attention import Dense, sigmoid

FEATURES: Final = 2 * EMBEDDING_SIZE


@dataclass(frozen=True, slots=True)
class LinearHead:
    """A dense layer with a sigmoid for each class.

    Attributes
    ----------
    dense
        A kernel of ``(256, classes)`` and a bias of ``(classes,)``, float32.

    Raises
    ------
    BundleInvalidError
        If the shapes differ.
    """

    dense: Dense

    def __post_init__(self) -> None:
        kernel, bias = self.dense.kernel.shape, self.dense.bias.shape
        if len(bias) != 1 or not bias[0] or kernel != (FEATURES, *bias):
            raise BundleInvalidError(
                f"the linear head must have a kernel of shape ({FEATURES}, classes) and a bias of shape "
                f"(classes,), got {kernel} and {bias}"
            )

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.dense.bias)

    def __call__(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute ``(..., classes)`` probabilities from ``(..., patches, 128)`` dequantized embeddings.

        The number of patches is free; they are not repeated.
        """
        return self.from_features(pooled(embeddings))

    def from_features(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute ``(..., classes)`` probabilities from ``(..., 256)`` features; see `pooled`."""
        return sigmoid(self.dense(features))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Build the head from the arrays ``kernel`` and ``bias`` of any float dtype.

        Raises
        ------
        BundleInvalidError
            If an array is missing or has another shape.
        """
        try:
            kernel, bias = arrays["kernel"], arrays["bias"]
        except KeyError as error:
            raise BundleInvalidError(f"the linear head lacks the array {error}") from error
        return cls(Dense(kernel.astype(np.float32, copy=False), bias.astype(np.float32, copy=False)))

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return the arrays by name."""
        return {"kernel": self.dense.kernel, "bias": self.dense.bias}


def pooled(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean and the maximum over the patches, ``(..., 256)`` of ``(..., patches, 128)``."""
    return np.concatenate([embeddings.mean(axis=-2), embeddings.max(axis=-2)], axis=-1)
