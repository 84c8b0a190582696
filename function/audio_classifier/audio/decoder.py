"""Decode audio files of the accepted formats to mono frames at the file's own rate, from any position.

Headers are not trusted: the amount of data decoded at once is bounded, and the end of the data is found by
reading.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from audio_classifier.audio.codecs import undecodable_codec
from audio_classifier.audio.formats import HEAD_BYTES, check_format
from audio_classifier.audio.info import AudioInfo, checked_info
from audio_classifier.audio.source import AudioSource, GuardedFile, ReadLimitError, T
from audio_classifier.errors import (
    DamagedAudioError,
    InvalidSamplesError,
    StartBeyondEndError,
    UnreadableAudioError,
    UnsupportedFormatError,
)

MAX_ABS_SAMPLE: Final = 2.0**31  # unscaled 32-bit integers in a float file are loud, but valid
# Samples of all channels decoded at once, which bounds the memory that a file with 1,024 channels takes.
BLOCK_SAMPLES: Final = 1 << 18
# Bytes to open a file, and beyond a window to reach it; pictures in tags are the largest legitimate part.
MAX_EXTRA_BYTES: Final = 32 << 20
MAX_SAMPLE_BYTES: Final = 8
# Seeking in MP3 reads every frame before, in two calls for each, of at least 24 bytes.
MAX_MP3_READS: Final = 96
# FLAC's longest frame, 65,535 samples, takes more than 8 bytes; Vorbis and Opus pack less.
MAX_FRAMES_PER_BYTE: Final = 8192


class MonoDecoder:
    """Decode an audio file to mono frames; reading forward decodes nothing twice.

    Parameters
    ----------
    source
        The bytes of a file, a path, or a seekable binary file object (which is left open).
    dtype
        Data type of the returned frames.

    Raises
    ------
    UnsupportedFormatError, UnreadableAudioError, UnsupportedAudioError, EmptyAudioError
        If the header alone shows that the file cannot be used.
    OSError
        If the file cannot be opened.  Exceptions of a file object are raised unchanged.
    """

    info: AudioInfo

    def __init__(self, source: AudioSource, *, dtype: Literal["float32", "float64"] = "float32") -> None:
        self._source = GuardedFile(source)
        try:
            self._source.limit(MAX_EXTRA_BYTES)
            check_format(self._source)
            self._file = self._open()
            self.info = checked_info(self._file)
        except BaseException:
            self._source.close()
            raise
        # libsndfile reads 16-bit samples in one piece, but in pieces of 8 kB if it converts them to floats.
        raw = self.info.subtype == "PCM_16"
        self._sample_type: Literal["int16", "float32", "float64"] = "int16" if raw else dtype
        self._mix = np.full(self.info.channels, 1 / self.info.channels / (1 << 15 if raw else 1), dtype)
        self._kept: NDArray[Any] = np.empty(0, dtype)  # the frames that end at `_position`
        self._position = 0  # libsndfile's position, in frames
        self._started = False  # whether a frame was decoded

    def close(self) -> None:
        """Close the decoder, and the file if the decoder opened it."""
        self._file.close()
        self._source.close()

    def frames(self, start: int, stop: int) -> NDArray[Any]:
        """Return frames ``[start, stop)`` with the channels averaged; fewer (or none) at the end of the data.

        Raises
        ------
        StartBeyondEndError
            If ``start`` cannot be reached.
        DamagedAudioError, InvalidSamplesError
            If the data cannot be decoded there, or contain values that are not valid samples.
        """
        blocks = []
        self._source.limit(
            MAX_EXTRA_BYTES
            + (stop - start) * self.info.channels * MAX_SAMPLE_BYTES
            + (self._source.size * MAX_MP3_READS if self.info.format == "MP3" else 0)
        )
        kept_from = self._position - len(self._kept)
        if kept_from <= start <= self._position:
            blocks.append(self._kept[start - kept_from :])
        else:
            self._seek(start)
        self._kept = self._kept[:0]  # keeps `_kept` consistent with `_position` if decoding fails
        self._source.expect((stop - self._position) * self.info.frame_bytes)
        block_frames = max(1, BLOCK_SAMPLES // self.info.channels)
        while self._position < stop:
            count = min(block_frames, stop - self._position)
            block = self._decode(self._position, lambda: self._read(count))  # noqa: B023
            if len(block) == 0:
                break
            self._position += len(block)
            self._started = True
            with np.errstate(invalid="ignore", over="ignore"):  # `_check` reports infinities
                blocks.append(block[:, 0] * self._mix if self.info.channels == 1 else block @ self._mix)
        mono = np.concatenate(blocks) if blocks else self._kept
        self._check(mono, start)
        self._kept = mono
        return mono[: stop - start]

    def _open(self) -> soundfile.SoundFile:
        self._source.seek(0)
        try:
            return self._native(lambda: _ForwardSoundFile(self._source, mode="r"))
        except _NativeError as error:
            head = self._source.head(HEAD_BYTES)
            if codec := undecodable_codec(head):
                raise UnsupportedFormatError(
                    f"not a readable audio file: it contains {codec}, which cannot be decoded"
                ) from error
            raise UnreadableAudioError(f"not a readable audio file: {error}") from error

    def _seek(self, frame: int) -> None:
        if frame > self._source.size * MAX_FRAMES_PER_BYTE:  # libsndfile would search for minutes
            raise StartBeyondEndError(
                f"there is no audio at {self._time(frame)}: the file has only {self._source.size} bytes",
                hint="Use an earlier start time.",
            )
        if self.info.format == "OGG":
            self._reopen()
        self._position = -1  # unknown if seeking fails, so that the next read seeks again
        try:
            self._position = self._native(lambda: self._file.seek(frame))
        except _NativeError as error:
            raise StartBeyondEndError(
                f"there is no audio at {self._time(frame)}, although the file's header allows for it",
                hint="Use an earlier start time; if there should be audio, the file is damaged.",
            ) from error

    def _reopen(self) -> None:
        """Prepare an Ogg file for a seek.

        libsndfile's seek ends the process with SIGSEGV if the file holds no frame, so one is decoded first.
        The seek misses its target by part of a block if anything was decoded, so the file is opened again.
        """
        if not self._started and not len(self._decode(0, lambda: self._read(1))):
            raise DamagedAudioError(f"the {self.info.format} file contains no audio that can be decoded")
        self._started = True
        self._file.close()
        self._file = self._open()

    def _read(self, count: int) -> NDArray[Any]:
        block: NDArray[Any] = self._file.read(count, self._sample_type, always_2d=True)
        return block

    def _decode(self, frame: int, call: Callable[[], T]) -> T:
        try:
            return self._native(call)
        except _NativeError as error:
            raise DamagedAudioError(
                f"the {self.info.format} data cannot be decoded at {self._time(frame)}: {error}"
            ) from error

    def _native(self, call: Callable[[], T]) -> T:
        """Call libsndfile, and raise its own failures as `_NativeError`; those of the file are unchanged."""

        def translated() -> T:
            try:
                return call()
            except soundfile.LibsndfileError as error:
                raise _NativeError(_reason(error)) from error
            except (soundfile.SoundFileError, MemoryError, OverflowError, UnicodeError) as error:
                raise _NativeError(str(error) or type(error).__name__) from error

        try:
            return self._source.guard(translated)
        except ReadLimitError as error:
            raise _NativeError(f"{MAX_EXTRA_BYTES >> 20} MiB of data contain no audio") from error

    def _check(self, mono: NDArray[Any], start: int) -> None:
        if len(mono) and not max(mono.max(), -mono.min()) <= MAX_ABS_SAMPLE:  # "not <=" is also true for NaN
            raise InvalidSamplesError(
                f"samples after {self._time(start)} are NaN, infinite or larger than 2^31 in magnitude"
            )

    def _time(self, frame: int) -> str:
        return f"{frame / self.info.sample_rate_hz:.4g} s"


class _NativeError(Exception):
    """A call of libsndfile failed; the message is its reason."""


class _ForwardSoundFile(soundfile.SoundFile):  # type: ignore[misc]  # untyped base class
    """An audio file without the seek that soundfile performs after every read of a seekable file.

    It seeks to the position where libsndfile already is.  At the end of a FLAC file of unknown length, as
    encoders write it to a pipe, this seek fails.
    """

    def seekable(self) -> bool:
        return False


def _reason(error: soundfile.LibsndfileError) -> str:
    text = str(error.error_string).strip().rstrip(".")
    return text or f"libsndfile error {error.code}"
