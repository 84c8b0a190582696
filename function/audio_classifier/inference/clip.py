"""Ten seconds of a sound, as the model will hear them, and what is heard in them."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.decoder import AudioInfo
from audio_classifier.audio.log_mel import Block, Watch, log_mel_patches
from audio_classifier.audio.reader import AudioReader, Resampler
from audio_classifier.audio.source import AudioSource
from audio_classifier.constants import CLIP_PATCHES, PATCH_S, SAMPLE_RATE_HZ
from audio_classifier.inference.selection import Prediction


@dataclass(frozen=True, slots=True)
class Classification:
    """What is heard in ten seconds of a clip, and what it took to find out.

    Attributes
    ----------
    predictions
        The most probable first.
    audio
        What the file's header says of itself.
    heard_s
        How many seconds of the clip were listened to.
    seconds
        Time spent in each stage: ``read``, ``features``, ``embedding``, ``head``.
    """

    predictions: list[Prediction]
    audio: AudioInfo
    heard_s: float
    seconds: dict[str, float]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Ten seconds of a clip, decoded, as the model will hear them.

    Attributes
    ----------
    patches
        ``(1..10, 96, 64)`` float32, log-mel.
    audio
        What the file's header says of itself.
    seconds
        Time spent in each stage: ``read``, ``features``.
    """

    patches: NDArray[np.float32]
    audio: AudioInfo
    seconds: dict[str, float]

    @property
    def heard_s(self) -> float:
        """Seconds of the clip that count."""
        return min(len(self.patches) * PATCH_S, self.audio.duration_s or math.inf)


def prepare_clip(
    source: AudioSource, *, start_s: float, resampler: Resampler, watch: Watch | None = None
) -> Prepared:
    """Decode ten seconds from ``start_s`` on and compute what the model hears of them.

    Raises
    ------
    AudioError, InvalidParameterError
        See `audio.read_window`.
    """
    begin = time.perf_counter()
    with AudioReader(source, resampler=resampler) as reader:
        samples = reader.window(start_s, CLIP_PATCHES)
    read = time.perf_counter()
    patches = log_mel_patches(samples)
    if watch is not None:
        begin_s = reader.first_sample(start_s) / SAMPLE_RATE_HZ
        watch(Block(begin_s, samples[: reader.info.samples], patches))
    seconds = {"read": read - begin, "features": time.perf_counter() - read}
    return Prepared(patches, reader.info, seconds)
