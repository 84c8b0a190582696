"""The properties of an audio file, and the limits to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import soundfile

from audio_classifier.audio.formats import ACCEPTED_FORMATS
from audio_classifier.constants import MAX_SOURCE_RATE_HZ, MIN_SOURCE_RATE_HZ, SAMPLE_RATE_HZ
from audio_classifier.errors import EmptyAudioError, UnsupportedAudioError, UnsupportedFormatError

MAX_KNOWN_FRAMES: Final = 1 << 62  # libsndfile reports 2^63 - 1 if the header states no length
# Decoding ten seconds of Opus with 255 channels takes 3 s of CPU time.
MAX_COMPRESSED_CHANNELS: Final = 16
# Bytes per sample of libsndfile's uncompressed subtypes.
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
    """Properties of an audio file according to its header.

    Headers can be wrong, so reading never relies on ``frames``.  ``frames`` is None if the header states no
    length, as in a FLAC file that was written to a pipe.
    """

    format: str
    subtype: str
    sample_rate_hz: int
    channels: int
    frames: int | None

    @property
    def duration_s(self) -> float | None:
        """Length in seconds, or None if the header states none."""
        return None if self.frames is None else self.frames / self.sample_rate_hz

    @property
    def frame_bytes(self) -> int:
        """Bytes per frame in the file; 0 if it is compressed."""
        return 0 if self.format == "FLAC" else self.channels * SAMPLE_BYTES.get(self.subtype, 0)

    @property
    def samples(self) -> int | None:
        """Length in samples at 16 kHz; see `samples_at`."""
        return self.samples_at(SAMPLE_RATE_HZ)

    def samples_at(self, rate_hz: int) -> int | None:
        """Return the length in samples at another rate, rounded down as resampy does, or None if unknown."""
        return None if self.frames is None else self.frames * rate_hz // self.sample_rate_hz


def checked_info(file: soundfile.SoundFile) -> AudioInfo:
    """Return the properties of an open file.

    Raises
    ------
    UnsupportedFormatError, UnsupportedAudioError, EmptyAudioError
        If they show that the file cannot be used.
    """
    frames = None if file.frames > MAX_KNOWN_FRAMES else file.frames
    info = AudioInfo(file.format, file.subtype, file.samplerate, file.channels, frames)
    if info.format not in ACCEPTED_FORMATS:
        raise UnsupportedFormatError(f"not a readable audio file: its format is {info.format}")
    check_limits(info)
    return info


def check_limits(info: AudioInfo) -> None:
    """Check the properties of a stream.

    Raises
    ------
    UnsupportedAudioError
        If the sample rate, or the number of channels of a compressed file, is outside the limits.
    EmptyAudioError
        If there are no samples.
    """
    if not MIN_SOURCE_RATE_HZ <= info.sample_rate_hz <= MAX_SOURCE_RATE_HZ:
        raise UnsupportedAudioError(
            f"the sample rate must be {MIN_SOURCE_RATE_HZ} to {MAX_SOURCE_RATE_HZ} Hz, "
            f"got {info.sample_rate_hz} Hz",
            hint="Resample the file to a rate in this range.",
        )
    if info.frame_bytes == 0 and info.channels > MAX_COMPRESSED_CHANNELS:
        raise UnsupportedAudioError(
            f"compressed files may have at most {MAX_COMPRESSED_CHANNELS} channels, got {info.channels}",
            hint="Mix the channels down.",
        )
    if info.samples is not None and info.samples <= 0:
        raise EmptyAudioError(
            f"the {info.format} file contains no audio: "
            f"its header states {info.frames} frames at {info.sample_rate_hz} Hz"
        )
