"""Any sound file that libsndfile knows -> mono frames at the file's own rate, from any place in it.

Nothing here trusts a header: what is decoded at once is bounded, and where the data end is found by reading.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from audio_classifier.audio.source import AudioSource, GuardedFile, T
from audio_classifier.constants import MAX_SOURCE_RATE_HZ, MIN_SOURCE_RATE_HZ, SAMPLE_RATE_HZ
from audio_classifier.errors import (
    DamagedAudioError,
    EmptyAudioError,
    InvalidSamplesError,
    StartBeyondEndError,
    UnreadableAudioError,
    UnsupportedAudioError,
)

MAX_ABS_SAMPLE: Final = 2.0**31  # 32-bit integers left unscaled in a float file are loud, but make sense
MAX_KNOWN_FRAMES: Final = 1 << 62  # libsndfile says 2^63 - 1 where a header does not tell
# Decoded at once, all channels together: bounds the memory that a file of 1,024 channels takes.
BLOCK_SAMPLES: Final = 1 << 18
# Bytes of a sample, by libsndfile's subtypes of what is not compressed.
SAMPLE_BYTES: Final = {
    subtype: size
    for size, subtypes in (
        (1, ("PCM_S8", "PCM_U8", "ULAW", "ALAW")),
        (2, ("PCM_16",)),
        (3, ("PCM_24",)),
        (4, ("PCM_32", "FLOAT")),
        (8, ("DOUBLE",)),
    )
    for subtype in subtypes
}


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What a file's header says of itself.  Headers err: nothing that is read relies on ``frames``.

    ``frames`` is None where the header does not tell, as in a FLAC file that was written to a pipe.
    """

    format: str
    subtype: str
    sample_rate_hz: int
    channels: int
    frames: int | None

    @property
    def duration_s(self) -> float | None:
        """Length in seconds."""
        return None if self.frames is None else self.frames / self.sample_rate_hz

    @property
    def frame_bytes(self) -> int:
        """What a frame takes in the file; 0 if it is compressed."""
        return 0 if self.format == "FLAC" else self.channels * SAMPLE_BYTES.get(self.subtype, 0)

    @property
    def samples(self) -> int | None:
        """Length in samples at 16 kHz (rounded down, as resampy does)."""
        return None if self.frames is None else self.frames * SAMPLE_RATE_HZ // self.sample_rate_hz


class MonoDecoder:
    """A sound file as mono frames; reading forward decodes nothing twice.

    Parameters
    ----------
    source
        The bytes of a file, a path, or a binary file object that can seek (it is left open).
    dtype
        Of the frames.

    Raises
    ------
    UnreadableAudioError, UnsupportedAudioError, EmptyAudioError
        If the header alone shows that nothing can come of it.
    OSError
        If the file cannot be opened, or whatever a file object itself raises.
    """

    info: AudioInfo

    def __init__(self, source: AudioSource, *, dtype: Literal["float32", "float64"] = "float32") -> None:
        self._source = GuardedFile(source)
        try:
            self._file = self._open()
            self.info = _checked_info(self._file)
        except BaseException:
            self._source.close()
            raise
        # Samples of 16 bits come as they are, in one piece; for floats, libsndfile asks for 8 kB at a time.
        raw = self.info.subtype == "PCM_16"
        self._sample_type: Literal["int16", "float32", "float64"] = "int16" if raw else dtype
        self._mix = np.full(self.info.channels, 1 / self.info.channels / (1 << 15 if raw else 1), dtype)
        self._kept: NDArray[Any] = np.empty(0, dtype)  # the frames before `_position`
        self._position = 0  # of libsndfile, in frames

    def close(self) -> None:
        """Release the decoder, and the file if it was opened here."""
        self._file.close()
        self._source.close()

    def frames(self, start: int, stop: int) -> NDArray[Any]:
        """Frames ``[start, stop)``, the channels averaged; fewer (or none) where the sound ends.

        Raises
        ------
        StartBeyondEndError
            If ``start`` cannot be reached.
        DamagedAudioError, InvalidSamplesError
            If the data cannot be decoded there, or hold no numbers that a sound could have.
        """
        blocks = []
        kept_from = self._position - len(self._kept)
        if kept_from <= start <= self._position:
            blocks.append(self._kept[start - kept_from :])
        else:
            self._seek(start)
        self._kept = self._kept[:0]  # should decoding fail below, what is kept still ends at the position
        self._source.expect((stop - self._position) * self.info.frame_bytes)
        block_frames = max(1, BLOCK_SAMPLES // self.info.channels)
        while self._position < stop:
            count = min(block_frames, stop - self._position)
            block = self._decode(
                self._position,
                lambda: self._file.read(count, self._sample_type, always_2d=True),  # noqa: B023
            )
            if len(block) == 0:
                break
            self._position += len(block)
            with np.errstate(invalid="ignore", over="ignore"):  # infinities are found below
                blocks.append(block[:, 0] * self._mix if self.info.channels == 1 else block @ self._mix)
        mono = np.concatenate(blocks) if blocks else self._kept
        self._check(mono, start)
        self._kept = mono
        return mono[: stop - start]

    def _open(self) -> soundfile.SoundFile:
        try:
            return self._source.guard(lambda: _ForwardSoundFile(self._source, mode="r"))
        except soundfile.LibsndfileError as error:
            if self._source.seek(0, os.SEEK_END) == 0:
                raise EmptyAudioError("the file is empty") from error
            raise UnreadableAudioError(f"not a readable sound file: {_reason(error)}") from error

    def _seek(self, frame: int) -> None:
        try:
            self._position = self._source.guard(lambda: self._file.seek(frame))
        except soundfile.LibsndfileError as error:
            raise StartBeyondEndError(
                f"there is no sound at {self._time(frame)}, although the header promises or allows it",
                hint="Give an earlier start; if there should be sound, the file is damaged.",
            ) from error

    def _decode(self, frame: int, call: Callable[[], T]) -> T:
        try:
            return self._source.guard(call)
        except soundfile.LibsndfileError as error:
            raise DamagedAudioError(
                f"the {self.info.format} data cannot be decoded at {self._time(frame)}: {_reason(error)}"
            ) from error

    def _check(self, mono: NDArray[Any], start: int) -> None:
        if len(mono) and not max(mono.max(), -mono.min()) <= MAX_ABS_SAMPLE:  # "not <=": NaN is caught, too
            raise InvalidSamplesError(
                f"samples after {self._time(start)} are not numbers, infinite or beyond 2^31 in size"
            )

    def _time(self, frame: int) -> str:
        return f"{frame / self.info.sample_rate_hz:.4g} s"


class _ForwardSoundFile(soundfile.SoundFile):  # type: ignore[misc]  # has no types
    """A sound file that is not sought in after every read.

    soundfile does so, to where libsndfile already is, in files that can seek; at the end of a FLAC file of
    unknown length, as encoders write it to a pipe, that fails.
    """

    def seekable(self) -> bool:
        return False


def _checked_info(file: soundfile.SoundFile) -> AudioInfo:
    frames = None if file.frames > MAX_KNOWN_FRAMES else file.frames
    info = AudioInfo(file.format, file.subtype, file.samplerate, file.channels, frames)
    if not MIN_SOURCE_RATE_HZ <= info.sample_rate_hz <= MAX_SOURCE_RATE_HZ:
        raise UnsupportedAudioError(
            f"a sample rate of {info.sample_rate_hz} Hz is not accepted",
            hint=f"Resample to between {MIN_SOURCE_RATE_HZ} and {MAX_SOURCE_RATE_HZ} Hz.",
        )
    if info.samples is not None and info.samples <= 0:
        raise EmptyAudioError(
            f"the {info.format} file has a header, but no sound in it ({info.frames} samples)"
        )
    return info


def _reason(error: soundfile.LibsndfileError) -> str:
    text = str(error.error_string).strip().rstrip(".")
    return text or f"libsndfile error {error.code}"
