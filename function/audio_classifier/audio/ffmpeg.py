"""Read the audio of a media file with FFmpeg, from any position."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.demuxers import Demuxer
from audio_classifier.audio.ffmpeg_container import DecodedFrame, FFmpegContainer
from audio_classifier.audio.ffmpeg_library import FFmpegError
from audio_classifier.audio.info import AudioInfo, check_limits
from audio_classifier.audio.sndfile import SampleType
from audio_classifier.audio.source import GuardedFile, SeekableFile
from audio_classifier.audio.warnings import PARTLY_READ, TRUNCATED, AudioWarning
from audio_classifier.errors import DamagedAudioError, EmptyAudioError, StartBeyondEndError

MAX_EXTRA_BYTES: Final = 32 << 20  # to open a file, and to reach a window
MAX_SAMPLE_BYTES: Final = 8
PREROLL_S: Final = 0.5  # decoded before a position, because decoders need it for their state
# Gaps in the times of packets are filled with silence; shorter ones are rounding, longer ones damage.
MIN_GAP_S: Final = 0.25
MAX_GAP_S: Final = 60.0
MAX_SKIPPED_FRAMES: Final = 1 << 16  # at once
UNKNOWN: Final = 1 << 62  # a position after all others
MIN_MISSING_S: Final = 1.0  # less is rounding of the stated length


class FFmpegStream:
    """The audio of a media file, as a `FrameStream`.

    Positions count from the first frame that is decoded, whatever time the container assigns to it.

    Parameters
    ----------
    file
        A seekable binary file, which is left open.
    demuxer
        The format of the container.
    dtype
        The data type of samples that are not 16-bit integers.

    Raises
    ------
    MissingExtraError, UnreadableAudioError, UnsupportedFormatError
        See `FFmpegContainer`.
    DamagedAudioError, EmptyAudioError
        If nothing can be decoded.
    UnsupportedAudioError
        If the sample rate or the number of channels is outside the limits.
    """

    def __init__(self, file: SeekableFile, demuxer: Demuxer, *, dtype: SampleType = "float32") -> None:
        self._source = GuardedFile(file)
        self._source.limit(MAX_EXTRA_BYTES)
        self._is_indexed = demuxer.is_indexed
        self._container = FFmpegContainer(self._source, demuxer, dtype)
        self.warnings: list[AudioWarning] = []
        self.info: AudioInfo = AudioInfo(demuxer.format, self._container.codec, 0, 0, None)
        first, self._following = self._decode(), self._decode()
        if first is None:
            raise EmptyAudioError(
                f"the {demuxer.format} file contains no {self.info.subtype} audio that can be decoded"
            )
        self.info = replace(self.info, sample_rate_hz=first.rate_hz, channels=first.samples.shape[1])
        if self._is_indexed and self._container.duration_s:  # 0 if the header was never finalised
            self.info = replace(self.info, frames=round(self._container.duration_s * first.rate_hz))
        check_limits(self.info)
        self._first_pts = self._origin = first.pts or 0
        self._unit = self._container.time_base_s * first.rate_hz  # in frames
        # The first frame can be shorter; the others have the same length, or none is known.
        self._first_frames = len(first.samples)
        self._packet_frames = self._container.packet_frames
        if not self._packet_frames and self._following is not None:
            self._packet_frames = len(self._following.samples)
        self._dtype = first.samples.dtype
        self._position = self._silence = 0
        self._samples: NDArray[Any] = first.samples

    def close(self) -> None:
        self._container.close()

    def expect(self, count: int) -> None:
        """Ignore the announcement, because the number of bytes is unknown."""

    def seek(self, frame: int) -> None:
        preroll = round(PREROLL_S * self.info.sample_rate_hz)
        if not self._position <= frame <= self._position + self._silence + len(self._samples) + preroll:
            self._jump(max(0, frame - preroll), frame)
        else:
            self._source.limit(MAX_EXTRA_BYTES)
        while self._position < frame:
            if not len(self._read(min(frame - self._position, MAX_SKIPPED_FRAMES))):
                raise self._beyond_end(frame)

    def read(self, count: int) -> NDArray[Any]:
        self._source.limit(MAX_EXTRA_BYTES + count * self.info.channels * MAX_SAMPLE_BYTES)
        return self._read(count)

    def _read(self, count: int) -> NDArray[Any]:
        if not self._silence and not len(self._samples):
            frame, self._following = self._following or self._decode(), None
            if frame is not None:
                self._append(frame)
            else:
                self._check_end()
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
        self._position = UNKNOWN
        self._origin = self._first_pts
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
        if self._position > frame:  # in a gap
            self._silence = self._position - frame
            self._position = frame

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

    def _check_end(self) -> None:
        """Add a warning if the audio seems to end too early."""
        end_s = self._position / self.info.sample_rate_hz
        stated_s = self.info.duration_s if self._container.states_audio_length else None
        if stated_s is not None and end_s < stated_s - MIN_MISSING_S:
            message = f"the audio ends at {end_s:.4g} s, although the header states {stated_s:.4g} s"
        elif self._container.is_damaged:
            message = f"the {self.info.format} file is damaged after {end_s:.4g} s, where reading ended"
        else:
            return
        self._warn(AudioWarning(TRUNCATED, message, {"end_s": round(end_s, 3)}))

    def _warn(self, warning: AudioWarning) -> None:
        """Add a warning in place of an earlier one of its kind."""
        self.warnings[:] = [*(each for each in self.warnings if each.code != warning.code), warning]

    def _decode(self, skip_until: int | None = None) -> DecodedFrame | None:
        before = self._container.damaged_packets
        try:
            frame = self._container.next_frame(skip_until)
        except FFmpegError as error:
            raise DamagedAudioError(
                f"the {self.info.subtype} data in the {self.info.format} file cannot be decoded: {error}"
            ) from error
        if (packets := self._container.damaged_packets) > before:
            message = f"some of the {self.info.subtype} data are damaged and were not read"
            self._warn(AudioWarning(PARTLY_READ, message, {"damaged_packets": packets}))
        return frame

    def _beyond_end(self, frame: int) -> StartBeyondEndError:
        return StartBeyondEndError(
            f"there is no audio at {self._time(frame)}, although the file's header allows for it",
            hint="Use an earlier start time; if there should be audio, the file is damaged.",
        )

    def _time(self, frame: int) -> str:
        return f"{frame / self.info.sample_rate_hz:.4g} s"
