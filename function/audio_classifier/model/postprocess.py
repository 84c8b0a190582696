"""Code embeddings by PCA, clipping and 8-bit quantization, as VGGish does (``vggish_postprocess.py``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import EMBEDDING_SIZE, QUANTIZE_MAX, QUANTIZE_MIN
from audio_classifier.errors import BundleInvalidError


@dataclass(frozen=True, slots=True)
class Postprocessor:
    """Compute ``P (e - mean)``, clip it to [-2, 2] and code it in 8 bits.

    Attributes
    ----------
    eigenvectors
        ``(128, 128)`` float32, one principal direction per row.
    means
        ``(128,)`` float32.
    """

    eigenvectors: NDArray[np.float32]
    means: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.eigenvectors.shape != (EMBEDDING_SIZE, EMBEDDING_SIZE) or self.means.shape != (
            EMBEDDING_SIZE,
        ):
            raise BundleInvalidError(
                "the PCA must have the shapes (128, 128) and (128,), "
                f"got {self.eigenvectors.shape} and {self.means.shape}"
            )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Build it from the published arrays ``pca_eigen_vectors`` (128, 128) and ``pca_means`` (128, 1).

        Raises
        ------
        BundleInvalidError
            If an array is missing or has another shape.
        """
        try:
            eigenvectors, means = arrays["pca_eigen_vectors"], arrays["pca_means"]
        except KeyError as error:
            raise BundleInvalidError(f"the PCA lacks the array {error}") from error
        return cls(
            eigenvectors.astype(np.float32, copy=False), means.astype(np.float32, copy=False).reshape(-1)
        )

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return the arrays with their published names and shapes."""
        return {"pca_eigen_vectors": self.eigenvectors, "pca_means": self.means[:, np.newaxis]}

    def quantize(self, embeddings: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Code embeddings ``(patches, 128)`` float32 as ``(patches, 128)`` uint8, by truncation."""
        projected = (embeddings - self.means) @ self.eigenvectors.T
        clipped = np.clip(projected, QUANTIZE_MIN, QUANTIZE_MAX)
        return ((clipped - QUANTIZE_MIN) * (255.0 / (QUANTIZE_MAX - QUANTIZE_MIN))).astype(np.uint8)


def dequantize(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute ``(code - 128) / 128``, the input of the attention head (IBM ``core/model.py``)."""
    return (codes.astype(np.float32) - 128.0) / np.float32(128.0)
