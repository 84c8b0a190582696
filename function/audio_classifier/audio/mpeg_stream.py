"""Read MPEG audio to its end, and from any frame, with libsndfile.

libsndfile trusts the header for the length, gives up after 1 KB of junk, and reads all frames before a
window.  It is therefore given pieces: the frames of a window after those that its first frame depends on.
"""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.audio.info import AudioInfo
from audio_classifier.audio.mpeg import HEADER_BYTES, FrameKind, tag_offset
from audio_classifier.audio.mpeg_frames import FrameSource, Span
from audio_classifier.audio.sndfile import SampleType, SndfileStream
from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.errors import AudioError, DamagedAudioError, StartBeyondEndError

MAX_PIECE_FRAMES: Final = 512
# The last samples of a frame overlap the next one, and the synthesis filter reaches into the one before.
OVERLAP_FRAMES: Final = 2
CHECKSUM_BYTES: Final = 2
LAYER_NAMES: Final = {1: "MPEG_LAYER_I", 2: "MPEG_LAYER_II", 3: "MPEG_LAYER_III"}
SILENCE_BYTES: Final = 128  # behind a piece, where libsndfile looks for an ID3v1 tag


class MpegStream:
    """A `FrameStream` over MPEG audio frames of one kind.

    Parameters
    ----------
    source
        The frames.
    delay
        Decoded samples before the recording.
    frames
        The length of the recording in samples per channel.
    dtype
        The data type of the decoded samples.
    """

    def __init__(self, source: FrameSource, *, delay: int, frames: int, dtype: SampleType) -> None:
        kind = source.kind
        self.info = AudioInfo("MP3", LAYER_NAMES[kind.layer], kind.rate_hz, kind.channels, frames)
        self.warnings: list[AudioWarning] = []
        self._source = source
        self._delay = delay
        self._frames = frames
        self._dtype = dtype
        self._position = 0
        self._expected_end = 0
        self._piece: _Piece | None = None  # the frames from `_position` on

    def close(self) -> None:
        self._close_piece()

    def expect(self, count: int) -> None:
        self._expected_end = self._position + count

    def seek(self, frame: int) -> None:
        samples = self._source.kind.samples
        if frame < self._frames:
            self._source.verify_count((frame + self._delay) // samples + 1)
        end = min(self._frames, self._source.count * samples - self._delay)
        if frame >= end:
            rate_hz = self.info.sample_rate_hz
            raise StartBeyondEndError(
                f"there is no audio at {frame / rate_hz:.4g} s: the recording lasts {end / rate_hz:.4g} s",
                hint=f"Use a start time below {end / rate_hz:.4g} s.",
            )
        self._close_piece()
        self._position = frame

    def read(self, count: int) -> NDArray[Any]:
        count = min(count, self._frames - self._position)
        if self._piece is not None and self._piece.left == 0:
            self._close_piece()
        if self._piece is None and count > 0:
            self._piece = self._open_piece(count)
        if self._piece is None or count <= 0:
            return np.empty((0, self.info.channels), self._dtype)
        try:
            block = self._piece.read(count)
        except AudioError as error:
            raise self._damaged(error) from error
        self._position += len(block)
        return block

    def _close_piece(self) -> None:
        if self._piece is not None:
            self._piece.close()
            self._piece = None

    def _open_piece(self, count: int) -> _Piece | None:
        """Open the frames from the current position on, or return None at the end."""
        samples = self._source.kind.samples
        first, skipped = divmod(self._position + self._delay, samples)
        end = max(self._position + count, min(self._expected_end, self._frames)) + self._delay
        stop = min(-(-end // samples), first + MAX_PIECE_FRAMES)
        lead = min(first, self._lead_frames())
        span = self._source.span(first - lead, stop)
        if len(span.lengths) <= lead:
            return None
        kept = _required_lead(self._source.kind, span.lengths[:lead])
        begin = sum(span.lengths[: lead - kept])
        lengths = span.lengths[lead - kept :]
        try:
            return _Piece(
                self._source.kind,
                Span(lengths, span.data[begin:]),
                skipped=kept * samples + skipped,
                dtype=self._dtype,
            )
        except AudioError as error:
            raise self._damaged(error) from error

    def _damaged(self, error: AudioError) -> DamagedAudioError:
        time_s = self._position / self.info.sample_rate_hz
        return DamagedAudioError(f"the MP3 data cannot be decoded at {time_s:.4g} s: {error}")

    def _lead_frames(self) -> int:
        """Return how many frames a frame can depend on, at most: those of the lowest bit rate."""
        kind = self._source.kind
        shortest = min(length for length in kind.lengths if length)
        return OVERLAP_FRAMES + -(-kind.reservoir_bytes // max(1, shortest - _overhead_bytes(kind)))


class _Piece:
    """Consecutive frames, decoded.

    Attributes
    ----------
    left
        Samples that were not read yet, per channel.
    """

    def __init__(self, kind: FrameKind, span: Span, *, skipped: int, dtype: SampleType) -> None:
        self.left = len(span.lengths) * kind.samples - skipped
        self._stream = SndfileStream(io.BytesIO(_decodable(kind, span)), dtype=dtype)
        self._skipped = skipped

    def close(self) -> None:
        self._stream.close()

    def read(self, count: int) -> NDArray[Any]:
        """Return the next samples; less only at the end."""
        count = min(count, self.left)
        self._stream.read(self._skipped)
        self._skipped = 0
        block = self._stream.read(count)
        if len(block) < count:
            raise DamagedAudioError(f"{count - len(block)} samples are missing")
        self.left -= count
        return block


def _decodable(kind: FrameKind, span: Span) -> bytes:
    """Return a file of all frames.

    libsndfile estimates its length from the first frame, so enough zeros follow; nobody reads these.  It
    would drop a first frame that looks like a tag, which is in the middle of concatenated files.
    """
    zeros = SILENCE_BYTES + (len(span.lengths) + 1) * max(span.lengths) - len(span.data)
    offset = tag_offset(kind)
    if span.data[offset : offset + HEADER_BYTES] in (b"Xing", b"Info"):
        return b"".join(
            (span.data[:offset], bytes(HEADER_BYTES), span.data[offset + HEADER_BYTES :], bytes(zeros))
        )
    return b"".join((span.data, bytes(zeros)))


def _required_lead(kind: FrameKind, lengths: list[int]) -> int:
    """Return how many of the frames before a frame must be decoded with it, so that it is exact.

    A frame refers to up to `reservoir_bytes` of main data in the frames before it.
    """
    count, missing = 0, kind.reservoir_bytes
    for length in reversed(lengths):
        if count >= OVERLAP_FRAMES:
            if missing <= 0:
                break
            missing -= length - _overhead_bytes(kind)
        count += 1
    return count


def _overhead_bytes(kind: FrameKind) -> int:
    """Return the bytes of a frame that are not main data."""
    return HEADER_BYTES + CHECKSUM_BYTES + kind.side_bytes
