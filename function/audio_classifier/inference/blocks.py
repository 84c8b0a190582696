"""Blocks of audio, handed to observers while a recording is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray


class Block(NamedTuple):
    """A stretch of a recording, as the model receives it.

    Attributes
    ----------
    start_s
        Where in the recording the block begins.
    samples
        ``(n,)``, mono, 16 kHz, without the repetition that fills a short recording up to one patch.
    patches
        ``(patches, 96, 64)`` float32 log-mels.
    """

    start_s: float
    samples: NDArray[Any]
    patches: NDArray[np.float32]


BlockObserver: TypeAlias = Callable[[Block], None]
