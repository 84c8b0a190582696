"""Blocks of audio, handed to observers while a recording is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.front_end import VGGISH, FrontEnd


class Block(NamedTuple):
    """A stretch of a recording, as the model receives it.

    Attributes
    ----------
    start_s
        Where in the recording the block begins.
    samples
        ``(n,)``, mono, from the position of the first frame on, without the repetition that fills a short
        recording up to one step.
    log_mel
        ``(steps * 96, bands)`` float32 log-mel frames.
    front_end
        How they were computed; its rate is that of the samples.
    """

    start_s: float
    samples: NDArray[Any]
    log_mel: NDArray[np.float32]
    front_end: FrontEnd = VGGISH


BlockObserver: TypeAlias = Callable[[Block], None]
