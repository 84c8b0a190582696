"""Read windows of audio files as mono samples at the rate of a front end.

Every output sample depends only on the source within `MARGIN_S` of it (measured: soxr VHQ from 4 kHz up
reaches less than 50 ms, resampy's ``kaiser_best`` 16 ms).  A window that is read with this margin, from a
source frame on the output grid, therefore equals the same window of the whole file resampled, and costs the
same in a file of any length.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, Self, TypeAlias, get_args

import numpy as np
import soxr
from numpy.typing import NDArray

from audio_classifier.audio.channels import Channel
from audio_classifier.audio.containers import open_audio
from audio_classifier.audio.decoder import MonoDecoder
from audio_classifier.audio.front_end import VGGISH, FrontEnd
from audio_classifier.audio.info import AudioInfo
from audio_classifier.audio.levels import Levels
from audio_classifier.audio.source import AudioSource, opened
from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.constants import CLIP_PATCHES, PATCH_FRAMES
from audio_classifier.errors import (
    DamagedAudioError,
    InvalidParameterError,
    MissingExtraError,
    StartBeyondEndError,
)

Resampler: TypeAlias = Literal["soxr", "resampy"]
Resample: TypeAlias = Callable[[NDArray[Any], int, int], NDArray[Any]]
"""Resamples from one rate to another."""

MARGIN_S: Final = 0.1
MAX_START_S: Final = 1e9  # thirty years; frame numbers fit into 64 bits at every accepted rate


class StretchOfSamples(NamedTuple):
    """Samples of a recording, ``before`` of which precede the position of their first frame."""

    samples: NDArray[Any]
    before: int


class AudioReader:
    """Read an audio file as mono samples, decoding only the requested windows.

    Parameters
    ----------
    source
        The bytes of a file, a path, or a seekable binary file object (which is left open).
    front_end
        Determines the rate of the samples, and the length of steps and clips.
    resampler
        ``"soxr"`` (VHQ, float32) or ``"resampy"`` (``kaiser_best``, float64, as in the original; needs the
        extra ``reference``).
    channel
        The channel to use; see `decoder.MonoDecoder`.

    Attributes
    ----------
    info
        The properties of the recording; of its first stream if these differ.

    Raises
    ------
    UnsupportedFormatError, UnreadableAudioError, UnsupportedAudioError, EmptyAudioError
        See `containers.open_audio`.
    InvalidParameterError
        If the source is not a file, or has no such channel.
    OSError
        If the file cannot be opened.
    """

    def __init__(
        self,
        source: AudioSource,
        *,
        front_end: FrontEnd = VGGISH,
        resampler: Resampler = "soxr",
        channel: Channel = None,
    ) -> None:
        resample = _load_resampler(resampler)
        self.front_end = front_end
        dtype: Final = "float64" if resampler == "resampy" else "float32"
        self._levels = Levels()
        with ExitStack() as stack:
            audio = open_audio(stack.enter_context(opened(source)), dtype=dtype)
            self._opened_with = list(audio.warnings)
            self._segments: list[_Segment] = []
            begin: int = 0
            for stream in audio.streams:
                stack.callback(stream.close)
                decoder = MonoDecoder(stream, self._levels, dtype=dtype, channel=channel)
                self._segments.append(_Segment(begin, decoder, resample, front_end.sample_rate_hz))
                begin += stream.info.samples_at(front_end.sample_rate_hz) or 0
            self._stack = stack.pop_all()
        self.info = _joined([stream.info for stream in audio.streams])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def warnings(self) -> list[AudioWarning]:
        """The warnings about everything that was read so far, one for each code."""
        found = [*self._opened_with]
        for segment in self._segments:
            found += segment.decoder.warnings
        found += self._levels.warnings()
        return list({warning.code: warning for warning in reversed(found)}.values())[::-1]

    def read(self, start: int, count: int) -> NDArray[Any]:
        """Return samples ``[start, start + count)``; fewer (or none) at the end of the recording.

        Returns
        -------
        ``(<= count,)`` float32, or float64 with resampy.

        Raises
        ------
        DamagedAudioError, InvalidSamplesError
            If the data cannot be decoded there, or contain values that are not valid samples.
        """
        pieces = []
        for segment, following in zip(self._segments, [*self._segments[1:], None], strict=True):
            if following is None:
                pieces.append(segment.read(start, count))
            elif start < following.begin:
                needed = min(count, following.begin - start)
                piece = segment.read(start, needed)
                # Zeros replace missing samples, so that later streams keep their times.
                pieces.append(np.pad(piece, (0, needed - len(piece))))
                start, count = start + needed, count - needed
                if count == 0:
                    break
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def window(self, start_s: float, count: int) -> NDArray[Any]:
        """Return ``count`` samples from ``start_s`` on, fewer at the end; see `read_window`."""
        start = self.first_sample(start_s)
        return self._filled(self.read(start, count), start)

    def first_sample(self, start_s: float) -> int:
        """Return the first sample of the clip from ``start_s`` on; see `read_window`."""
        if not (math.isfinite(start_s) and start_s >= 0):
            raise InvalidParameterError(
                "start_s", f"must be a finite number of seconds, at least 0, got {start_s}"
            )
        duration_s, samples = self.info.duration_s, self.samples
        if duration_s is not None and start_s >= duration_s:
            raise StartBeyondEndError(
                f"the start, {start_s:g} s, is beyond the end of the recording, "
                f"which lasts {duration_s:.4g} s",
                hint=f"Use a start time below {duration_s:.4g} s.",
            )
        if start_s > MAX_START_S:
            raise StartBeyondEndError(
                f"the start, {start_s:g} s, is beyond the end of any recording",
                hint=f"Use a start time of at most {MAX_START_S:g} s.",
            )
        start = int(start_s / self.front_end.step_s) * self.front_end.step_samples
        return start if samples is None else min(start, max(0, samples - self.front_end.min_samples))

    def blocks(self, steps: int) -> Generator[StretchOfSamples, None, None]:
        """Yield the whole recording in consecutive blocks of up to ``steps`` whole steps.

        Neighbouring blocks share the samples that the frames of both cover.  An incomplete step at the end
        is dropped.  A recording shorter than one step is repeated until it fills one.  Each block is decoded
        when it is requested; closing the generator ends the decoding.
        """
        front_end, start, before = self.front_end, 0, 0
        span = front_end.span_samples(steps * PATCH_FRAMES)
        samples = self.read(0, span)
        ended = len(samples) < span
        samples = self._filled(samples, 0)
        while front_end.whole_frames(len(samples) - before) >= PATCH_FRAMES:
            yield StretchOfSamples(samples, before)
            if ended:
                return
            start += steps * front_end.step_samples
            before = min(start, front_end.lead_samples)
            samples = self.read(start - before, before + span)
            ended = len(samples) < before + span

    @property
    def samples(self) -> int | None:
        """The length of the recording in samples, or None if its header states none."""
        return self.info.samples_at(self.front_end.sample_rate_hz)

    def _filled(self, samples: NDArray[Any], start: int) -> NDArray[Any]:
        """Repeat samples that do not fill a step until they do."""
        if len(samples) == 0:
            raise DamagedAudioError(
                f"there is no audio at {start / self.front_end.sample_rate_hz:.4g} s, "
                "although the file's header allows for it"
            )
        min_samples = self.front_end.min_samples
        return np.resize(samples, min_samples) if len(samples) < min_samples else samples


def own_rate_reader(source: AudioSource, *, channel: Channel = None) -> AudioReader:
    """Open a recording to read its samples at its own rate, or that of its first stream if these differ.

    The parameters and errors are those of `AudioReader`.
    """
    with AudioReader(source, channel=channel) as reader:
        rate_hz = reader.info.sample_rate_hz
    return AudioReader(source, front_end=replace(VGGISH, sample_rate_hz=rate_hz), channel=channel)


def read_window(
    source: AudioSource, *, start_s: float = 0.0, patches: int = CLIP_PATCHES, resampler: Resampler = "soxr"
) -> NDArray[Any]:
    """Read the samples of up to ``patches`` patches of VGGish, from the patch that contains ``start_s``.

    As in the original, patches are counted from the beginning of the recording, so the window starts at the
    last multiple of 0.96 s.  If no whole patch is left from there on, the window starts earlier, so that
    its patch ends with the recording.  A recording shorter than one patch is repeated until it fills one.

    Returns
    -------
    ``(15,600 ... 15,600 + (patches - 1) * 15,360,)`` float32 (float64 with resampy), mono, 16 kHz.

    Raises
    ------
    AudioError
        If the file cannot be used; the subclass and its message state the reason.  `StartBeyondEndError`
        states the length of the recording.
    InvalidParameterError
        If ``start_s`` is negative or not finite.
    OSError
        If the file cannot be opened.  Exceptions of a file object are raised unchanged.
    """
    with AudioReader(source, resampler=resampler) as reader:
        return reader.window(start_s, VGGISH.span_samples(patches * PATCH_FRAMES))


class _Segment:
    """A stream, resampled to ``target_hz``, whose samples begin at ``begin``."""

    def __init__(self, begin: int, decoder: MonoDecoder, resample: Resample, target_hz: int) -> None:
        self.begin = begin
        self.decoder = decoder
        self._resample = resample
        self._rate, self._target_hz = decoder.info.sample_rate_hz, target_hz
        common = math.gcd(self._rate, target_hz)
        # The least number of source frames that spans a whole number of samples, and that number.
        self._grid = self._rate // common, target_hz // common
        self._margin = math.ceil(MARGIN_S * self._rate)

    def read(self, start: int, count: int) -> NDArray[Any]:
        """Return samples of the recording from ``start`` on; fewer at the end of the stream."""
        start -= self.begin
        rate, target_hz = self._rate, self._target_hz
        frames_step, samples_step = self._grid
        steps = max(0, start * rate // target_hz - self._margin) // frames_step
        first_frame, first_sample = steps * frames_step, steps * samples_step
        end_frame = -(-(start + count) * rate // target_hz) + self._margin

        mono = self.decoder.frames(first_frame, end_frame)
        if first_frame + len(mono) < end_frame:  # the stream ends here
            count = min(count, (first_frame + len(mono)) * target_hz // rate - start)
        if count <= 0:
            return mono[:0]
        samples = mono if rate == target_hz else self._resample(mono, rate, target_hz)
        return samples[start - first_sample : start - first_sample + count]


def _joined(infos: Sequence[AudioInfo]) -> AudioInfo:
    """Describe consecutive streams as one with the properties of the first."""
    first = infos[0]
    if len(infos) == 1:
        return first
    durations_s = [info.duration_s for info in infos]
    if None in durations_s:
        return replace(first, frames=None)
    return replace(first, frames=round(sum(filter(None, durations_s)) * first.sample_rate_hz))


def _load_resampler(name: Resampler) -> Resample:
    if name == "soxr":
        return lambda mono, rate, target: soxr.resample(mono, rate, target, quality="VHQ")
    if name == "resampy":
        try:
            import resampy
        except ImportError as error:
            raise MissingExtraError("the resampy resampler", "reference") from error
        return lambda mono, rate, target: resampy.resample(mono, rate, target, filter="kaiser_best")
    raise InvalidParameterError("resampler", f"must be one of {', '.join(get_args(Resampler))}, got {name!r}")
