"""The model of a bundle: from log-mel patches to codes to class probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import CLIP_PATCHES
from audio_classifier.errors import BundleInvalidError
from audio_classifier.model.attention import AttentionHead
from audio_classifier.model.bundle import EMBEDDING, HEAD, LABELS, POSTPROCESS, Bundle
from audio_classifier.model.embedding import Embedder
from audio_classifier.model.labels import LabelSet
from audio_classifier.model.postprocess import Postprocessor, dequantize


class Network:
    """The loaded model of a bundle, which any number of threads can share.

    Parameters
    ----------
    threads
        Number of CPUs for the embedding network.

    Raises
    ------
    BundleInvalidError
        If the parts of the bundle do not match.
    """

    def __init__(self, bundle: Bundle, threads: int) -> None:
        self.labels = LabelSet.read(bundle.path(LABELS))
        self.embedder = Embedder(bundle.path(EMBEDDING), threads=threads)
        self._postprocessor = Postprocessor.from_arrays(bundle.arrays(POSTPROCESS))
        self._head = AttentionHead.from_arrays(bundle.arrays(HEAD))
        if self._head.classes != len(self.labels):
            raise BundleInvalidError(
                f"expected a label per class, got {self._head.classes} classes and {len(self.labels)} labels"
            )

    def code(self, patches: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Encode ``(n, 96, 64)`` log-mels as ``(n, 128)`` codes."""
        return self.quantize(self.embedder.embed(patches))

    def quantize(self, embeddings: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Quantize ``(n, 128)`` embeddings to ``(n, 128)`` codes."""
        return self._postprocessor.quantize(embeddings)

    def classify(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute ``(..., classes)`` probabilities from ``(..., 1..10, 128)`` codes."""
        return self._head(dequantize(repeated(codes)))


def repeated(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat ``(..., 1..10, 128)`` codes to ten patches (IBM ``core/model.py``)."""
    return codes[..., np.arange(CLIP_PATCHES) % codes.shape[-2], :]
