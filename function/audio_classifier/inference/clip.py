"""Clips: ten seconds of a recording, prepared for the model and classified."""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.channels import Channel
from audio_classifier.audio.front_end import FrontEnd
from audio_classifier.audio.info import AudioInfo
from audio_classifier.audio.log_mel import clip_log_mel
from audio_classifier.audio.reader import AudioReader, Resampler
from audio_classifier.audio.source import AudioSource
from audio_classifier.audio.warnings import AudioWarning
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
        Time spent in each stage: ``read``, ``features``, then ``embedding`` and ``head``, or ``network``.
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
    log_mel
        ``(frames, bands)`` float32 log-mel frames.
    audio
        The file's header.
    analyzed_s
        How many seconds of the recording the frames cover.
    seconds
        Time spent in each stage: ``read``, ``features``.
    warnings
        See `Classification`.
    """

    log_mel: NDArray[np.float32]
    audio: AudioInfo
    analyzed_s: float
    seconds: dict[str, float]
    warnings: list[AudioWarning]


def prepare_clip(
    source: AudioSource,
    *,
    front_end: FrontEnd,
    start_s: float,
    resampler: Resampler,
    channel: Channel = None,
    on_block: BlockObserver | None = None,
) -> PreparedClip:
    """Decode ten seconds from ``start_s`` on and compute their log-mel frames.

    Raises
    ------
    AudioError, InvalidParameterError
        See `audio.reader.read_window`.
    """
    begin = time.perf_counter()
    with AudioReader(source, front_end=front_end, resampler=resampler, channel=channel) as reader:
        samples = reader.window(start_s, front_end.clip_samples)
    read = time.perf_counter()
    log_mel = clip_log_mel(samples, front_end)
    if on_block is not None:
        block_start_s = reader.first_sample(start_s) / front_end.sample_rate_hz
        on_block(Block(block_start_s, samples[: reader.samples], log_mel, front_end))
    seconds = {"read": read - begin, "features": time.perf_counter() - read}
    analyzed_s = min(front_end.seconds(len(log_mel)), reader.info.duration_s or math.inf)
    return PreparedClip(log_mel, reader.info, analyzed_s, seconds, reader.warnings)
