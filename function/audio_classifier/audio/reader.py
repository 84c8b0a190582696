"""Sound files -> mono samples at 16 kHz, of just the window that is asked for.

Every output sample depends only on the source within `MARGIN_S` of it (measured: soxr VHQ from 4 kHz up
reaches less than 50 ms, resampy's ``kaiser_best`` 16 ms).  So a window read with that margin, from a source
frame that falls on the output grid, equals the same window of the whole file resampled, and costs the same
in a file of any length.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias, get_args

import numpy as np
import soxr
from numpy.typing import NDArray

from audio_classifier.audio.decoder import MonoDecoder
from audio_classifier.audio.source import AudioSource
from audio_classifier.constants import CLIP_PATCHES, PATCH_HOP_SAMPLES, PATCH_S, PATCH_SAMPLES, SAMPLE_RATE_HZ
from audio_classifier.errors import (
    DamagedAudioError,
    InvalidParameterError,
    MissingExtraError,
    StartBeyondEndError,
)

Resampler: TypeAlias = Literal["soxr", "resampy"]

MARGIN_S: Final = 0.1


class AudioReader:
    """A sound file, seen as mono samples at 16 kHz; reads forward cheaply, and only what is asked for.

    Parameters
    ----------
    source
        The bytes of a file, a path, or a binary file object that can seek (it is left open).
    resampler
        ``"soxr"`` (VHQ, float32) or ``"resampy"`` (``kaiser_best``, float64: what the original computes;
        needs the extra ``reference``).

    Raises
    ------
    UnreadableAudioError, UnsupportedAudioError, EmptyAudioError, OSError
        See `decoding.MonoDecoder`.
    """

    def __init__(self, source: AudioSource, *, resampler: Resampler = "soxr") -> None:
        self._resample = _load_resampler(resampler)
        self._decoder = MonoDecoder(source, dtype="float64" if resampler == "resampy" else "float32")
        self.info = self._decoder.info
        common = math.gcd(self.info.sample_rate_hz, SAMPLE_RATE_HZ)
        # So many frames of the source span so many samples at 16 kHz, both exactly.
        self._grid = self.info.sample_rate_hz // common, SAMPLE_RATE_HZ // common
        self._margin = math.ceil(MARGIN_S * self.info.sample_rate_hz)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._decoder.close()

    def read(self, start: int, count: int) -> NDArray[Any]:
        """Samples ``[start, start + count)`` at 16 kHz, fewer (or none) where the sound ends.

        Returns
        -------
        ``(<= count,)`` float32, or float64 by resampy.

        Raises
        ------
        DamagedAudioError, InvalidSamplesError
            If the data cannot be decoded there, or hold no numbers that a sound could have.
        """
        rate = self.info.sample_rate_hz
        frames_step, samples_step = self._grid
        steps = max(0, start * rate // SAMPLE_RATE_HZ - self._margin) // frames_step
        first_frame, first_sample = steps * frames_step, steps * samples_step
        end_frame = math.ceil((start + count) * rate / SAMPLE_RATE_HZ) + self._margin

        mono = self._decoder.frames(first_frame, end_frame)
        if first_frame + len(mono) < end_frame:  # the sound ends here
            count = min(count, (first_frame + len(mono)) * SAMPLE_RATE_HZ // rate - start)
        if count <= 0:
            return mono[:0]
        samples = mono if rate == SAMPLE_RATE_HZ else self._resample(mono, rate)
        return samples[start - first_sample : start - first_sample + count]

    def window(self, start_s: float, patches: int) -> NDArray[Any]:
        """The samples of up to ``patches`` patches from ``start_s`` on.  See `read_window`."""
        start = self.first_sample(start_s)
        return _fill_patch(self.read(start, span_samples(patches)), start)

    def first_sample(self, start_s: float) -> int:
        """Where a window from ``start_s`` on begins, in samples at 16 kHz.  See `read_window`."""
        if not (math.isfinite(start_s) and start_s >= 0):
            raise InvalidParameterError(
                "start_s", f"{start_s} is not a time in a clip", hint="Give seconds from 0."
            )
        start = int(start_s / PATCH_S) * PATCH_HOP_SAMPLES
        if self.info.duration_s is not None and self.info.samples is not None:
            if start_s >= self.info.duration_s:
                raise StartBeyondEndError(
                    f"the start, {start_s:g} s, is outside of the clip, "
                    f"which lasts {self.info.duration_s:.4g} s",
                    hint=f"Give a start time below {self.info.duration_s:.4g} s.",
                )
            start = min(start, max(0, self.info.samples - PATCH_SAMPLES))
        return start

    def blocks(self, patches: int) -> Iterator[NDArray[Any]]:
        """The whole sound, from its beginning, in blocks of whole patches that follow each other without a
        gap.

        Each block holds the samples of up to ``patches`` patches (its last 240 stand in the next block,
        too).  What is left at the end and fills no patch is dropped, unless the sound is shorter than one:
        then it is repeated.
        """
        start, span = 0, span_samples(patches)
        samples = _fill_patch(self.read(start, span), start)
        while len(samples) >= PATCH_SAMPLES:
            yield samples
            if len(samples) < span:
                return
            start += patches * PATCH_HOP_SAMPLES
            samples = self.read(start, span)


def read_window(
    source: AudioSource, *, start_s: float = 0.0, patches: int = CLIP_PATCHES, resampler: Resampler = "soxr"
) -> NDArray[Any]:
    """Read the samples of up to ``patches`` patches, from the patch that ``start_s`` falls into.

    As in the original, patches are counted from the beginning of the clip, so the window starts at the last
    multiple of 0.96 s.  Where no whole patch is left from there on, it starts earlier, so that the patch
    ends with the clip.  A clip shorter than one patch is repeated until it fills one.

    Returns
    -------
    ``(15,600 ... 15,600 + (patches - 1) * 15,360,)`` float32 (float64 by resampy), mono, 16 kHz.

    Raises
    ------
    AudioError
        One of its kinds, naming what is wrong with the sound; `StartBeyondEndError` names the clip's length.
    InvalidParameterError
        If ``start_s`` is negative or no number.
    OSError
        If the file cannot be opened, or whatever a file object itself raises.
    """
    with AudioReader(source, resampler=resampler) as reader:
        return reader.window(start_s, patches)


def span_samples(patches: int) -> int:
    """How many samples that many patches in a row need."""
    return (patches - 1) * PATCH_HOP_SAMPLES + PATCH_SAMPLES


def _fill_patch(samples: NDArray[Any], start: int) -> NDArray[Any]:
    """Repeat what does not fill a patch until it does."""
    if len(samples) == 0:
        raise DamagedAudioError(
            f"there is no sound at {start / SAMPLE_RATE_HZ:.4g} s, although the header promises it"
        )
    return np.resize(samples, PATCH_SAMPLES) if len(samples) < PATCH_SAMPLES else samples


def _load_resampler(name: Resampler) -> Callable[[NDArray[Any], int], NDArray[Any]]:
    if name == "soxr":
        return lambda mono, rate: soxr.resample(mono, rate, SAMPLE_RATE_HZ, quality="VHQ")
    if name == "resampy":
        try:
            import resampy
        except ImportError as error:
            raise MissingExtraError("the resampy resampler", "reference") from error
        return lambda mono, rate: resampy.resample(mono, rate, SAMPLE_RATE_HZ, filter="kaiser_best")
    raise InvalidParameterError("resampler", f"{name!r} is none of {', '.join(get_args(Resampler))}")
