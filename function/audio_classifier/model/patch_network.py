"""The network of the original: an embedding of each patch, and an attention head for ten."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import CLIP_PATCHES, MEL_BANDS, PATCH_FRAMES
from audio_classifier.model.attention import AttentionHead
from audio_classifier.model.bundle import Bundle
from audio_classifier.model.embedding import Embedder
from audio_classifier.model.manifest import EMBEDDING, HEAD, POSTPROCESS
from audio_classifier.model.postprocess import Postprocessor, dequantize


class PatchNetwork:
    """A `Network` that encodes patches as 8-bit codes.

    Parameters
    ----------
    threads
        Number of CPUs for the embedding network.

    Raises
    ------
    BundleInvalidError
        If the parts of the bundle do not match.
    """

    min_window_steps: Final = 1

    def __init__(self, bundle: Bundle, threads: int) -> None:
        self.embedder = Embedder(bundle.path(EMBEDDING), threads=threads)
        self._postprocessor = Postprocessor.from_arrays(bundle.arrays(POSTPROCESS))
        self._head = AttentionHead.from_arrays(bundle.arrays(HEAD))

    @property
    def classes(self) -> int:
        """The number of classes."""
        return self._head.classes

    def encode(self, log_mel: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Encode ``(n * 96, 64)`` log-mels as ``(n, 128)`` codes."""
        return self._postprocessor.quantize(self.embedder.embed(_patches(log_mel)))

    def classify_windows(self, encoded: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute ``(..., classes)`` probabilities from ``(..., 1..10, 128)`` codes."""
        return self._head(dequantize(repeated(encoded)))

    def classify_clips(
        self, clips: Sequence[NDArray[np.float32]]
    ) -> tuple[NDArray[np.float32], dict[str, float]]:
        """Compute ``(clips, classes)`` probabilities, and the seconds of ``embedding`` and ``head``."""
        begin = time.perf_counter()
        embeddings = self.embedder.embed(np.concatenate([_patches(log_mel) for log_mel in clips]))
        embedded = time.perf_counter()
        ends = np.cumsum([len(log_mel) // PATCH_FRAMES for log_mel in clips])
        codes = [self._postprocessor.quantize(rows) for rows in np.split(embeddings, ends[:-1])]
        probabilities = self.classify_windows(np.stack([repeated(rows) for rows in codes]))
        seconds = {"embedding": embedded - begin, "head": time.perf_counter() - embedded}
        return probabilities, seconds


def repeated(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat ``(..., 1..10, 128)`` codes to ten patches (IBM ``core/model.py``)."""
    return codes[..., np.arange(CLIP_PATCHES) % codes.shape[-2], :]


def _patches(log_mel: NDArray[np.float32]) -> NDArray[np.float32]:
    return log_mel.reshape(-1, PATCH_FRAMES, MEL_BANDS)
