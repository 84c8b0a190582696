"""Locate the frames of MPEG audio of a constant bit rate by their number, reading only these frames."""

from __future__ import annotations

from typing import Final

from audio_classifier.audio.mpeg import MAX_FRAME_BYTES, FrameKind
from audio_classifier.audio.mpeg_frames import FrameTable, ScannedFrames, Span
from audio_classifier.audio.mpeg_scan import LOOKAHEAD_BYTES, Chain, FrameScan
from audio_classifier.audio.source import SeekableFile

TAIL_FRAMES: Final = 32  # read to find the end


class ConstantFrames:
    """A `FrameSource` over frames of a constant bit rate, whose positions are computed and verified.

    Frames that were overwritten, by zeros or anything else, are silent, so that the others keep their times.
    If frames are at other positions, all of them are located by reading the file.

    Parameters
    ----------
    begin, kind
        Position and kind of the first frame.
    bit_rate
        In bits per second.
    count
        The number of frames, if it is known.

    Attributes
    ----------
    cut_bytes
        Bytes that the last frame lacks.
    """

    def __init__(
        self, file: SeekableFile, size: int, begin: int, kind: FrameKind, bit_rate: int, *, count: int = 0
    ) -> None:
        self.kind = kind
        self.count = count
        self.cut_bytes = 0
        self._file = file
        self._size = size
        self._begin = begin
        self._bytes = kind.samples // 8 * bit_rate  # of a frame, times the sample rate
        self._tolerance = 2 * kind.slot_bytes
        self._silent_frame = kind.silent_frame(bit_rate)
        self._missing = bytearray(count)  # 1 for each frame that was found to be overwritten
        self._scanned: ScannedFrames | None = None

    def count_frames(self) -> bool:
        """Set ``count`` by the last frame; return False if the file does not end with this bit rate."""
        estimate = (self._size - self._begin) * self.kind.rate_hz // self._bytes
        first = max(0, estimate - TAIL_FRAMES)
        scan = self._scan(first, self._size)
        chains = list(scan.chains())
        if len(chains) != 1 or not self._fits(chains[0], first) or scan.unread_bytes > MAX_FRAME_BYTES:
            return False
        self.count = first + len(chains[0].begins)
        self._missing = bytearray(self.count)
        self.cut_bytes = scan.cut_bytes
        return True

    @property
    def skipped_bytes(self) -> int:
        if self._scanned is not None:
            return self._scanned.skipped_bytes
        return self._missing.count(1) * self._bytes // self.kind.rate_hz

    def verify_count(self, stop: int) -> None:
        if self._scanned is not None:
            self._scanned.verify_count(stop)

    def span(self, first: int, stop: int) -> Span:
        stop = min(stop, self.count)
        if first >= stop:
            return Span([], b"")
        if self._scanned is None:
            if span := self._computed_span(first, stop):
                return span
            table = FrameTable(self._file, self._size, self._begin, self.kind)
            table.extend()
            self._scanned = ScannedFrames(table)
            self.count = self._scanned.count
        return self._scanned.span(first, stop)

    def _computed_span(self, first: int, stop: int) -> Span | None:
        """Return frames at their computed positions, silent ones where there are none.

        None is returned if frames are at other positions.
        """
        scan = self._scan(first, min(self._size, self._position(stop) + LOOKAHEAD_BYTES))
        lengths: list[int] = []
        parts: list[bytes | memoryview] = []

        def fill(until: int) -> None:
            begin = first + len(lengths)
            if until > begin:
                self._missing[begin:until] = b"\1" * (until - begin)
                lengths.extend((until - begin) * [len(self._silent_frame)])
                parts.append((until - begin) * self._silent_frame)

        for chain in scan.chains():
            number = self._number(chain.begins[0])
            if not self._fits(chain, number) or number < first + len(lengths):
                return None
            if number >= stop:
                break
            fill(number)
            begins, ends = chain.begins[: stop - number], [*chain.begins[1:], chain.end][: stop - number]
            if abs(ends[-1] - self._position(number + len(ends))) > self._tolerance:
                return None
            lengths += [end - begin for begin, end in zip(begins, ends, strict=True)]
            parts.append(chain.data[: ends[-1] - begins[0]])
        fill(stop)
        return Span(lengths, b"".join(parts))

    def _scan(self, first: int, end: int) -> FrameScan:
        begin = max(self._begin, self._position(first) - self._tolerance)
        return FrameScan(self._file, end, begin, chunk_bytes=end - begin)

    def _fits(self, chain: Chain, first: int) -> bool:
        return chain.kind == self.kind and abs(chain.begins[0] - self._position(first)) <= self._tolerance

    def _number(self, position: int) -> int:
        return ((position - self._begin) * self.kind.rate_hz + self._bytes // 2) // self._bytes

    def _position(self, frame: int) -> int:
        return self._begin + frame * self._bytes // self.kind.rate_hz
