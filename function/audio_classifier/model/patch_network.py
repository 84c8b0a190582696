"""Networks of the kind of the original: an embedding of each patch, and heads for up to ten patches."""

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
from audio_classifier.model.linear_head import LinearHead
from audio_classifier.model.manifest import EMBEDDING, HEAD, LINEAR_HEAD, POSTPROCESS
from audio_classifier.model.postprocess import Postprocessor, dequantize


class PatchNetwork:
    """A `Network` that encodes patches as 8-bit codes.

    It has an attention head, a linear head, or both; then the classes of the attention head come first.

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
        files = {entry.path for entry in bundle.manifest.files}
        self._attention = AttentionHead.from_arrays(bundle.arrays(HEAD)) if HEAD in files else None
        self._linear = LinearHead.from_arrays(bundle.arrays(LINEAR_HEAD)) if LINEAR_HEAD in files else None

    @property
    def classes(self) -> int:
        """The number of classes."""
        return sum(head.classes for head in (self._attention, self._linear) if head)

    def encode(self, log_mel: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Encode ``(n * 96, 64)`` log-mels as ``(n, 128)`` codes."""
        return self._postprocessor.quantize(self.embedder.embed(_patches(log_mel)))

    def encode_with_embeddings(
        self, log_mel: NDArray[np.float32]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Return the codes, and the ``(n, 128)`` embeddings that they code, minus the mean of the PCA."""
        embeddings = self.embedder.embed(_patches(log_mel))
        return self._postprocessor.quantize(embeddings), embeddings - self._postprocessor.means

    def classify_windows(self, encoded: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute ``(..., classes)`` probabilities from ``(..., 1..10, 128)`` codes."""
        probabilities = []
        if self._attention:
            probabilities.append(self._attention(dequantize(repeated(encoded))))
        if self._linear:
            probabilities.append(self._linear(dequantize(encoded)))
        return np.concatenate(probabilities, axis=-1)

    def classify_clips(
        self, clips: Sequence[NDArray[np.float32]]
    ) -> tuple[NDArray[np.float32], dict[str, float]]:
        """Compute ``(clips, classes)`` probabilities, and the seconds of ``embedding`` and ``head``."""
        begin = time.perf_counter()
        embeddings = self.embedder.embed(np.concatenate([_patches(log_mel) for log_mel in clips]))
        embedded = time.perf_counter()
        ends = np.cumsum([len(log_mel) // PATCH_FRAMES for log_mel in clips])
        codes = [self._postprocessor.quantize(rows) for rows in np.split(embeddings, ends[:-1])]
        probabilities = self._classify_codes(codes)
        seconds = {"embedding": embedded - begin, "head": time.perf_counter() - embedded}
        return probabilities, seconds

    def _classify_codes(self, codes: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Compute ``(clips, classes)`` probabilities of clips of different numbers of patches."""
        probabilities = []
        if self._attention:
            repeated_codes = np.stack([repeated(rows) for rows in codes])
            probabilities.append(self._attention(dequantize(repeated_codes)))
        if self._linear:
            probabilities.append(np.stack([self._linear(dequantize(rows)) for rows in codes]))
        return np.concatenate(probabilities, axis=-1)


def repeated(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat ``(..., 1..10, 128)`` codes to ten patches (IBM ``core/model.py``)."""
    return codes[..., np.arange(CLIP_PATCHES) % codes.shape[-2], :]


def _patches(log_mel: NDArray[np.float32]) -> NDArray[np.float32]:
    return log_mel.reshape(-1, PATCH_FRAMES, MEL_BANDS)
