"""The model of a bundle: log-mel patches -> codes -> class probabilities."""

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
    """A bundle, loaded; may be shared by any number of threads.

    Parameters
    ----------
    threads
        CPUs for the embedding.

    Raises
    ------
    BundleInvalidError
        If the bundle's parts do not fit each other.
    """

    def __init__(self, bundle: Bundle, threads: int) -> None:
        self.labels = LabelSet.read(bundle.path(LABELS))
        self.embedder = Embedder(bundle.path(EMBEDDING), threads=threads)
        self._postprocessor = Postprocessor.from_arrays(bundle.arrays(POSTPROCESS))
        self._head = AttentionHead.from_arrays(bundle.arrays(HEAD))
        if self._head.classes != len(self.labels):
            raise BundleInvalidError(
                f"the head tells {self._head.classes} classes apart, {len(self.labels)} have labels"
            )

    def code(self, patches: NDArray[np.float32]) -> NDArray[np.uint8]:
        """``(n, 96, 64)`` log-mels -> ``(n, 128)`` codes."""
        return self.quantize(self.embedder.embed(patches))

    def quantize(self, embeddings: NDArray[np.float32]) -> NDArray[np.uint8]:
        """``(n, 128)`` embeddings -> ``(n, 128)`` codes."""
        return self._postprocessor.quantize(embeddings)

    def classify(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``(..., 1..10, 128)`` codes -> ``(..., classes)`` probabilities."""
        return self._head(dequantize(repeated(codes)))


def repeated(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``(..., 1..10, 128)`` codes, repeated to ten (IBM ``core/model.py``)."""
    return codes[..., np.arange(CLIP_PATCHES) % codes.shape[-2], :]
