"""A whole recording -> windows of it and what is heard in each, as a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.log_mel import Block, Watch, log_mel_patches
from audio_classifier.audio.reader import AudioReader, Resampler
from audio_classifier.audio.source import AudioSource
from audio_classifier.constants import CLIP_PATCHES, EMBEDDING_SIZE, PATCH_S
from audio_classifier.errors import InvalidParameterError
from audio_classifier.inference.sound_events import Heard

Code: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.uint8]]
"""``(patches, 96, 64)`` log-mels -> their ``(patches, 128)`` codes."""

Classify: TypeAlias = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""``(..., 1..10, 128)`` codes -> ``(..., classes)`` probabilities."""


def listen(
    source: AudioSource,
    *,
    window_s: float,
    hop_s: float,
    code: Code,
    classify: Classify,
    resampler: Resampler = "soxr",
    watch: Watch | None = None,
) -> Iterator[Heard]:
    """See `AudioClassifier.listen`; ``code`` and ``classify`` are the two halves of the model.

    Raises
    ------
    InvalidParameterError
        If a window or hop is no length of time, or the window longer than what the model hears; at once.
    AudioError
        If the sound cannot be used, when the stream gets there.
    """
    window, hop = _whole_patches("window_s", window_s), _whole_patches("hop_s", hop_s)
    if window > CLIP_PATCHES:
        raise InvalidParameterError("window_s", f"{window_s:g} s is more than the model hears at once, 9.6 s")
    edge = max(0, window - hop) / 2  # of a window, that belongs to its neighbour

    def stream() -> Iterator[Heard]:
        last: Heard | None = None
        with AudioReader(source, resampler=resampler) as reader:
            for start, end, probabilities in _windows(reader, window, hop, code, classify, watch):
                if last is not None:
                    yield last
                begin = start if last is None else start + edge
                times = _seconds(start), _seconds(end), _seconds(begin), _seconds(end - edge)
                last = Heard(*times, probabilities)
        if last is not None:
            yield last._replace(to_s=last.end_s)

    return stream()


def _windows(
    reader: AudioReader, window: int, hop: int, code: Code, classify: Classify, watch: Watch | None
) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """First patch, the one behind the last, ``(classes,)`` probabilities; the last one reaches the end.

    Those that begin in the same ten patches are judged at once.
    """
    start = first = 0  # of the next window; of the codes that are held
    held = np.empty((0, EMBEDDING_SIZE), np.uint8)
    for samples in reader.blocks(CLIP_PATCHES):
        patches = log_mel_patches(samples)
        if watch is not None:
            begin_s = (first + len(held)) * PATCH_S
            watch(Block(begin_s, samples[: reader.info.samples], patches))
        held = np.concatenate([held, code(patches)])
        starts = range(start, first + len(held) - window, hop)
        if starts:
            within = np.array(starts)[:, np.newaxis] - first + np.arange(window)
            for begin, probabilities in zip(starts, classify(held[within]), strict=True):
                yield begin, begin + window, probabilities
            start = starts[-1] + hop
        done = min(max(0, start - first), len(held))
        held, first = held[done:], first + done
    if first + len(held) > start:
        yield start, first + len(held), classify(held[start - first :])


def _whole_patches(parameter: str, seconds: float) -> int:
    if not seconds > 0 or seconds == float("inf"):
        raise InvalidParameterError(
            parameter, f"{seconds} is no length of time", hint="Give seconds above 0."
        )
    return max(1, round(seconds / PATCH_S))


def _seconds(patches: float) -> float:
    return round(patches * PATCH_S, 2)
