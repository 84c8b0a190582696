"""Clips: ten seconds of a recording, prepared for the model and classified."""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.channels import Channel
from audio_classifier.audio.info import AudioInfo
from audio_classifier.audio.log_mel import log_mel_patches
from audio_classifier.audio.reader import AudioReader, Resampler
from audio_classifier.audio.source import AudioSource
from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.constants import CLIP_PATCHES, PATCH_S, SAMPLE_RATE_HZ
from audio_classifier.inference.blocks import Block, BlockObserver
from audio_classifier.inference.selection import Prediction


@dataclass(frozen=True, slots=True)
class Classification:
    """The predictions for a clip, and how they were made.

    Attributes
    ----------
    predictions
        The selected classes, the most probable first.
    audio
        The file's header.
    analyzed_s
        How many seconds of the recording were analyzed.
    seconds
        Time spent in each stage: ``read``, ``features``, ``embedding``, ``head``.
    warnings
        What can make the predictions wrong: audio that was not read, or that was changed.
    """

    predictions: list[Prediction]
    audio: AudioInfo
    analyzed_s: float
    seconds: dict[str, float]
    warnings: list[AudioWarning] = field(default_factory=list)

    @property
    def heard_s(self) -> float:
        """The former name of ``analyzed_s``, until version 0.3."""
        warnings.warn("heard_s is now analyzed_s", DeprecationWarning, stacklevel=2)
        return self.analyzed_s


@dataclass(frozen=True, slots=True)
class PreparedClip:
    """A clip, decoded and converted to the model's input.

    Attributes
    ----------
    patches
        ``(1..10, 96, 64)`` float32 log-mels.
    audio
        The file's header.
    seconds
        Time spent in each stage: ``read``, ``features``.
    warnings
        See `Classification`.
    """

    patches: NDArray[np.float32]
    audio: AudioInfo
    seconds: dict[str, float]
    warnings: list[AudioWarning]

    @property
    def analyzed_s(self) -> float:
        """How many seconds of the recording the patches cover."""
        return min(len(self.patches) * PATCH_S, self.audio.duration_s or math.inf)


def prepare_clip(
    source: AudioSource,
    *,
    start_s: float,
    resampler: Resampler,
    channel: Channel = None,
    on_block: BlockObserver | None = None,
) -> PreparedClip:
    """Decode ten seconds from ``start_s`` on and compute their log-mel patches.

    Raises
    ------
    AudioError, InvalidParameterError
        See `audio.reader.read_window`.
    """
    begin = time.perf_counter()
    with AudioReader(source, resampler=resampler, channel=channel) as reader:
        samples = reader.window(start_s, CLIP_PATCHES)
    read = time.perf_counter()
    patches = log_mel_patches(samples)
    if on_block is not None:
        block_start_s = reader.first_sample(start_s) / SAMPLE_RATE_HZ
        on_block(Block(block_start_s, samples[: reader.info.samples], patches))
    seconds = {"read": read - begin, "features": time.perf_counter() - read}
    return PreparedClip(patches, reader.info, seconds, reader.warnings)
