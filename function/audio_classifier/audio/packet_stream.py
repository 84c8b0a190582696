"""Decode packets that were taken out of their container."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, Protocol

from numpy.typing import NDArray

from audio_classifier.audio.info import AudioInfo
from audio_classifier.audio.sndfile import SampleType, SndfileStream
from audio_classifier.audio.source import SeekableFile
from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.errors import DamagedAudioError, StartBeyondEndError

# Decoded before the target of a seek; a container's timestamps lead closer than that unless they are damaged.
MAX_SKIPPED_FRAMES: Final = 1 << 24
SKIPPED_AT_ONCE: Final = 1 << 16


class PacketSource(Protocol):
    """A container from which the packets of one stream can be read, beginning anywhere."""

    format: str
    frames: int | None  # according to the container

    def open_at(self, frame: int) -> tuple[int, SeekableFile]:
        """Return a file for libsndfile, and the number of its first frame, which is at most ``frame``."""


class PacketStream:
    """Frames of a stream in a container that libsndfile does not read; see `streams.FrameStream`.

    Each seek makes a new file for libsndfile, which begins with the stream's headers and continues with the
    packets from the seek's target on.
    """

    def __init__(self, source: PacketSource, *, dtype: SampleType = "float32") -> None:
        self._source, self._dtype = source, dtype
        _, file = source.open_at(0)
        self._stream = SndfileStream(file, dtype=dtype)
        self.info: AudioInfo = replace(self._stream.info, format=source.format, frames=source.frames)
        self.warnings: list[AudioWarning] = self._stream.warnings

    def seek(self, frame: int) -> None:
        """Continue reading at a frame.

        Raises
        ------
        StartBeyondEndError, DamagedAudioError
            If the frame cannot be reached.
        """
        time = f"{frame / self.info.sample_rate_hz:.4g} s"
        if self.info.frames is not None and frame > self.info.frames:
            raise StartBeyondEndError(
                f"there is no audio at {time}: the recording lasts {self.info.duration_s:.4g} s",
                hint="Use an earlier start time.",
            )
        first, file = self._source.open_at(frame)
        if frame - first > MAX_SKIPPED_FRAMES:
            raise DamagedAudioError(f"the positions in the {self.info.format} file do not lead to {time}")
        self._stream.close()
        self._stream = SndfileStream(file, dtype=self._dtype)
        self._stream.warnings = self.warnings
        while first < frame:
            skipped = len(self._stream.read(min(SKIPPED_AT_ONCE, frame - first)))
            if not skipped:
                raise StartBeyondEndError(
                    f"there is no audio at {time}, although the file's positions allow for it",
                    hint="Use an earlier start time; if there should be audio, the file is damaged.",
                )
            first += skipped

    def expect(self, count: int) -> None:
        """Do nothing: the size of compressed frames is unknown."""

    def read(self, count: int) -> NDArray[Any]:
        """Return up to ``count`` frames, ``(<= count, channels)``; none at the end."""
        return self._stream.read(count)

    def close(self) -> None:
        self._stream.close()
