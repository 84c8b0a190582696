"""Networks that compute class scores from log-mels of any length."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import PATCH_FRAMES
from audio_classifier.model.bundle import Bundle
from audio_classifier.model.litert import LiteRtModel
from audio_classifier.model.manifest import NETWORK

CLIP_FRAMES: Final = 1000  # for which the network is prepared
MAX_FRAMES: Final = 2000  # of all windows of an invocation, which bounds its memory


class ClipNetwork:
    """A `Network` that reads clips as they are, without repeating short ones.

    Parameters
    ----------
    threads
        Number of CPUs for the network.
    bands, classes
        The numbers of mel bands and of classes.

    Raises
    ------
    BundleInvalidError
        If the network has other inputs or outputs.
    """

    min_window_steps: Final = 3  # 2.88 s; windows of one second are much less reliable than those of two

    def __init__(self, bundle: Bundle, threads: int, *, bands: int, classes: int) -> None:
        self.classes = classes
        signature = ((-1, -1, bands), (-1, classes))
        first_shape = (1, CLIP_FRAMES, bands)
        self._model = LiteRtModel(bundle.path(NETWORK), signature, first_shape, threads=threads)

    def encode(self, log_mel: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``(steps * 96, bands)`` log-mels as ``(steps, 96, bands)``."""
        return log_mel.reshape(-1, PATCH_FRAMES, log_mel.shape[-1])

    def classify_windows(self, encoded: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute ``(windows, classes)`` probabilities from ``(windows, steps, 96, bands)``."""
        windows, steps, frames, bands = encoded.shape
        return self._probabilities(encoded.reshape(windows, steps * frames, bands))

    def classify_clips(
        self, clips: Sequence[NDArray[np.float32]]
    ) -> tuple[NDArray[np.float32], dict[str, float]]:
        """Compute ``(clips, classes)`` probabilities, and the seconds of the ``network``.

        Clips of the same length are classified together.
        """
        begin = time.perf_counter()
        by_length: defaultdict[int, list[int]] = defaultdict(list)
        for number, log_mel in enumerate(clips):
            by_length[len(log_mel)].append(number)
        probabilities = np.empty((len(clips), self.classes), np.float32)
        for numbers in by_length.values():
            probabilities[numbers] = self._probabilities(np.stack([clips[number] for number in numbers]))
        return probabilities, {"network": time.perf_counter() - begin}

    def _probabilities(self, log_mels: NDArray[np.float32]) -> NDArray[np.float32]:
        batch = max(1, MAX_FRAMES // log_mels.shape[1])
        pieces = range(0, len(log_mels), batch)
        logits = np.concatenate([self._model.run(log_mels[start : start + batch]) for start in pieces])
        return np.asarray(1 / (1 + np.exp(-logits.astype(np.float64))), np.float32)
