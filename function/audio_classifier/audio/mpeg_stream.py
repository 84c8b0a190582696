"""Read MPEG audio to its end, and from any frame, with libsndfile.

libsndfile trusts the header for the length, gives up after 1 KB of junk, and reads all frames before a
window.  It is therefore given pieces: the frames of a window after those that its first frame depends on.
"""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from audio_classifier.audio.info import AudioInfo
from audio_classifier.audio.mpeg import FrameKind
from audio_classifier.audio.mpeg_frames import FrameSource, Span
from audio_classifier.audio.mpeg_pieces import PHASE_FRAMES, decodable, max_lead, required_lead
from audio_classifier.audio.sndfile import ForwardSoundFile, SampleType
from audio_classifier.audio.warnings import PARTLY_READ, AudioWarning
from audio_classifier.errors import DamagedAudioError, StartBeyondEndError

MAX_PIECE_FRAMES: Final = 512
LAYER_NAMES: Final = {1: "MPEG_LAYER_I", 2: "MPEG_LAYER_II", 3: "MPEG_LAYER_III"}


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
        self._update_warnings()

    def close(self) -> None:
        self._close_piece()

    def expect(self, count: int) -> None:
        self._expected_end = self._position + count

    def seek(self, frame: int) -> None:
        samples = self._source.kind.samples
        if frame <= self._frames:
            self._source.verify_count((frame + self._delay) // samples + 1)
        end = min(self._frames, self._source.count * samples - self._delay)
        if frame > end:
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
        count = min(count, self._piece.left)
        try:
            block = self._piece.read(count)
        except soundfile.SoundFileError as error:
            raise self._damaged() from error
        if len(block) < count:
            raise self._damaged()
        self._position += count
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
        begin = max(0, first - max_lead(self._source.kind)) // PHASE_FRAMES * PHASE_FRAMES
        span = self._source.span(begin, stop)
        self._update_warnings()
        if len(span.lengths) <= first - begin:
            return None
        try:
            return _Piece(self._source.kind, span, first - begin, skipped, self._dtype)
        except soundfile.SoundFileError as error:
            raise self._damaged() from error

    def _update_warnings(self) -> None:
        if skipped := self._source.skipped_bytes:
            message = f"{skipped} bytes between or after the MPEG audio frames were not read"
            self.warnings = [AudioWarning(PARTLY_READ, message, {"skipped_bytes": skipped})]

    def _damaged(self) -> DamagedAudioError:
        time_s = self._position / self.info.sample_rate_hz
        return DamagedAudioError(f"the MP3 data cannot be decoded at {time_s:.4g} s")


class _Piece:
    """Consecutive frames, decoded from memory, so that no exception of a file can occur.

    Attributes
    ----------
    left
        Samples that were not read yet, per channel.
    """

    def __init__(self, kind: FrameKind, span: Span, lead: int, skipped: int, dtype: SampleType) -> None:
        skipped_frames = lead - required_lead(kind, span.lengths[:lead])
        skipped_frames -= skipped_frames % PHASE_FRAMES
        lengths, lead = span.lengths[skipped_frames:], lead - skipped_frames
        data = decodable(kind, lengths, span.data[sum(span.lengths[:skipped_frames]) :], lead)
        self._file = ForwardSoundFile(io.BytesIO(data), mode="r")
        self._dtype = dtype
        self._skipped = lead * kind.samples + skipped
        self.left = len(lengths) * kind.samples - self._skipped

    def close(self) -> None:
        self._file.close()

    def read(self, count: int) -> NDArray[Any]:
        """Return the next samples; less if they cannot be decoded."""
        self._file.read(self._skipped, self._dtype, always_2d=True)
        self._skipped = 0
        block: NDArray[Any] = self._file.read(count, self._dtype, always_2d=True)
        self.left -= count
        return block
