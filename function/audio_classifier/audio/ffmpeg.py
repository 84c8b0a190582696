"""Read the audio of a media file with FFmpeg, from any position."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.ffmpeg_container import DecodedFrame, FFmpegContainer, FFmpegError
from audio_classifier.audio.info import AudioInfo
from audio_classifier.audio.source import GuardedFile, SeekableFile
from audio_classifier.errors import DamagedAudioError, EmptyAudioError, StartBeyondEndError

# Demuxers that know the length, and find the packet of a time; the others are read from the beginning.
INDEXED_DEMUXERS: Final = frozenset(("ape", "asf", "matroska", "mov", "tta", "wv"))
MAX_EXTRA_BYTES: Final = 32 << 20  # to open a file, and to reach a window
MAX_SAMPLE_BYTES: Final = 8
PREROLL_S: Final = 0.5  # decoded before a position, because decoders need it for their state
# Gaps in the times of packets are filled with silence.  Shorter ones are rounding or drift, longer ones damage.
MIN_GAP_S: Final = 0.25
MAX_GAP_S: Final = 60.0


class FFmpegStream:
    """The audio of a media file, as a `FrameStream`.

    Positions count from the first frame that is decoded, whatever time the container assigns to it.

    Parameters
    ----------
    file
        A seekable binary file, which is left open.
    demuxer
        FFmpeg's name of the container format.
    name
        The container's name for `AudioInfo` and messages.

    Raises
    ------
    MissingExtraError, UnreadableAudioError, UnsupportedFormatError
        See `FFmpegContainer`.
    DamagedAudioError, EmptyAudioError
        If nothing can be decoded.
    """

    def __init__(self, file: SeekableFile, demuxer: str, name: str) -> None:
        self._source = GuardedFile(file)
        self._source.limit(MAX_EXTRA_BYTES)
        self._is_indexed = demuxer in INDEXED_DEMUXERS
        self._container = FFmpegContainer(self._source, demuxer, name)
        self.info = AudioInfo(name, self._container.codec, 0, 0, None)
        first, second = self._decode(), self._decode()
        if first is None:
            raise EmptyAudioError(f"the {name} file contains no audio that can be decoded")
        rate, channels = first.rate_hz, first.samples.shape[1]
        duration_s = self._container.duration_s if self._is_indexed else None
        frames = None if duration_s is None else round(duration_s * rate)
        self.info = AudioInfo(name, self._container.codec, rate, channels, frames)
        self._origin = first.pts or 0
        self._unit = self._container.time_base_s * rate  # in frames
        # The first frame can be shorter; the others have the same length, or none is known.
        self._first_frames = len(first.samples)
        self._packet_frames = self._container.packet_frames or (0 if second is None else len(second.samples))
        self._dtype = first.samples.dtype
        self._place(first, 0)
        self._following = second

    def close(self) -> None:
        self._container.close()

    def seek(self, frame: int) -> None:
        """Continue with a frame.

        Raises
        ------
        StartBeyondEndError
            If the audio ends before it.
        DamagedAudioError
            If it cannot be reached.
        """
        preroll = round(PREROLL_S * self.info.sample_rate_hz)
        if not self._position <= frame <= self._position + self._silence + len(self._samples) + preroll:
            self._jump(max(0, frame - preroll), frame)
        while self._position < frame:
            if not len(self._read(frame - self._position)):
                raise self._beyond_end(frame)

    def read(self, count: int) -> NDArray[Any]:
        """Return up to ``count`` frames, or none at the end.

        Returns
        -------
        ``(<= count, channels)`` int16, or floats with full scale 1.

        Raises
        ------
        DamagedAudioError
            If the data cannot be decoded.
        """
        self._source.limit(MAX_EXTRA_BYTES + count * self.info.channels * MAX_SAMPLE_BYTES)
        return self._read(count)

    def _read(self, count: int) -> NDArray[Any]:
        if not self._silence and not len(self._samples):
            frame, self._following = self._following or self._decode(), None
            if frame is not None:
                self._append(frame)
        if self._silence:
            block = np.zeros((min(count, self._silence), self.info.channels), self._dtype)
            self._silence -= len(block)
        else:
            block, self._samples = self._samples[:count], self._samples[count:]
        self._position += len(block)
        return block

    def _append(self, frame: DecodedFrame) -> None:
        """Continue with a frame, after silence if its time says so."""
        self._place(frame, self._position)
        if frame.pts is None:
            return
        gap = round((frame.pts - self._origin) * self._unit) - self._position
        gap_s = gap / self.info.sample_rate_hz
        if MIN_GAP_S < gap_s <= MAX_GAP_S:
            self._silence = gap
        elif abs(gap_s) > MIN_GAP_S:  # continue without a gap from here on
            self._origin = frame.pts - round(self._position / self._unit)

    def _place(self, frame: DecodedFrame, position: int) -> None:
        found = frame.rate_hz, frame.samples.shape[1], frame.samples.dtype
        expected = self.info.sample_rate_hz, self.info.channels, self._dtype
        if found != expected:
            raise DamagedAudioError(
                f"the {self.info.format} file changes its format at {self._time(position)}: "
                "{} Hz, {} channels ({}) to {} Hz, {} channels ({})".format(*expected, *found),
                hint="Convert the recording to WAV.",
            )
        self._position, self._silence, self._samples = position, 0, frame.samples

    def _jump(self, start: int, frame: int) -> None:
        """Continue at or after ``start``, but not after ``frame``."""
        self._following = None
        pts = self._origin + int(start / self._unit)
        self._source.limit(MAX_EXTRA_BYTES)
        if start and self._is_indexed and self._find(pts, frame):
            return
        self._source.limit(MAX_EXTRA_BYTES + self._source.size)
        self._container.rewind()
        first = self._decode(skip_until=pts if start else None)
        if first is None:
            raise self._beyond_end(frame)
        self._place(first, 0 if first.pts is None else self._locate(first.pts))

    def _find(self, pts: int, frame: int) -> bool:
        """Let the demuxer find a time; return whether it is not after ``frame``."""
        try:
            self._container.seek(pts)
            first = self._container.next_frame()
        except FFmpegError:
            return False
        if first is None:
            raise self._beyond_end(frame)
        position = frame + 1 if first.pts is None else self._locate(first.pts)
        self._place(first, position)
        return position <= frame

    def _locate(self, pts: int) -> int:
        """Return the position of a frame; times in coarse units are rounded to the grid of packets."""
        position = round((pts - self._origin) * self._unit)
        if self._unit > 1 and self._packet_frames:
            packets = round((position - self._first_frames) / self._packet_frames)
            exact = self._first_frames + packets * self._packet_frames
            if abs(exact - position) <= 2 * self._unit:
                return exact
        return position

    def _decode(self, skip_until: int | None = None) -> DecodedFrame | None:
        try:
            return self._container.next_frame(skip_until)
        except FFmpegError as error:
            raise DamagedAudioError(
                f"the {self.info.subtype} data in the {self.info.format} file cannot be decoded: {error}"
            ) from error

    def _beyond_end(self, frame: int) -> StartBeyondEndError:
        return StartBeyondEndError(
            f"there is no audio at {self._time(frame)}, although the file's header allows for it",
            hint="Use an earlier start time; if there should be audio, the file is damaged.",
        )

    def _time(self, frame: int) -> str:
        return f"{frame / self.info.sample_rate_hz:.4g} s"
