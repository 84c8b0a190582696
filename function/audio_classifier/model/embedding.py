"""The embedding network: from each log-mel patch to 128 numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.constants import CLIP_PATCHES, EMBEDDING_SIZE, MEL_BANDS, PATCH_FRAMES
from audio_classifier.model.litert import LiteRtModel

SIGNATURE: Final = ((-1, PATCH_FRAMES, MEL_BANDS), (-1, EMBEDDING_SIZE))


class Embedder:
    """A LiteRT model from ``(n, 96, 64)`` float32 patches to ``(n, 128)`` float32 embeddings, for any ``n``.

    Parameters
    ----------
    model, threads
        See `LiteRtModel`, also for the errors.
    """

    def __init__(self, model: Path, *, threads: int) -> None:
        first_shape = (CLIP_PATCHES, PATCH_FRAMES, MEL_BANDS)
        self._model = LiteRtModel(model, SIGNATURE, first_shape, threads=threads)

    def embed(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embed ``(n >= 1, 96, 64)`` float32 patches in one invocation, as ``(n, 128)`` float32."""
        return self._model.run(patches)
