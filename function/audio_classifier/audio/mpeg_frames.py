"""Locate the frames of MPEG audio by number, reading as little of the file as is possible."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field
from typing import Final, Protocol

from audio_classifier.audio.mpeg import MAX_FRAME_BYTES, FrameKind
from audio_classifier.audio.mpeg_scan import MAX_CHUNK_BYTES, Chain, FrameScan
from audio_classifier.audio.source import SeekableFile

MARK_FRAMES: Final = 64  # the position of every 64th frame is kept
MAX_RUNS: Final = 1000  # of frames of one kind, in a file


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive frames: their lengths, and their bytes without anything between them."""

    lengths: list[int]
    data: bytes


class FrameSource(Protocol):
    """Frames of one kind that can be located by number.

    Attributes
    ----------
    kind
        The kind of the frames.
    count
        The number of frames, as far as it is known.
    skipped_bytes
        Bytes of the file that are neither frames nor tags, as far as they were found.
    """

    @property
    def kind(self) -> FrameKind: ...

    @property
    def count(self) -> int: ...

    @property
    def skipped_bytes(self) -> int: ...

    def verify_count(self, stop: int) -> None:
        """Correct ``count`` if it is at least ``stop`` although there are fewer frames."""

    def span(self, first: int, stop: int) -> Span:
        """Return the frames ``[first, stop)``, fewer or none at the end."""


@dataclass(slots=True)
class Run:
    """Frames of one kind, as they are found; the positions of some are kept."""

    kind: FrameKind
    count: int = 0
    end: int = 0
    marks: array[int] = field(default_factory=lambda: array("Q"))

    def add(self, chain: Chain) -> None:
        self.marks.extend(chain.begins[-self.count % MARK_FRAMES :: MARK_FRAMES])
        self.count += len(chain.begins)
        self.end = chain.end


class FrameTable:
    """The runs of frames in a file, found by reading it, as far as they are needed.

    Parameters
    ----------
    begin, kind
        Position and kind of the first frame.

    Attributes
    ----------
    cut_bytes
        Bytes that the last frame lacks.
    runs
        The runs that were found so far; at most `MAX_RUNS`.
    is_complete
        Whether all frames were found.
    """

    def __init__(self, file: SeekableFile, size: int, begin: int, kind: FrameKind) -> None:
        self.file = file
        self.runs = [Run(kind)]
        self.is_complete = False
        self._size = size
        self._unread_bytes = 0  # after the last frame
        self._scan = FrameScan(file, size, begin, kind=kind)
        self._chains = self._scan.chains()

    @property
    def cut_bytes(self) -> int:
        return self._scan.cut_bytes

    @property
    def skipped_bytes(self) -> int:
        """Bytes that are neither frames nor tags; a few at the end are not counted."""
        is_long = self._unread_bytes > MAX_FRAME_BYTES
        return self._scan.skipped_bytes + (self._unread_bytes if is_long else 0)

    def extend(self, frames: float = math.inf) -> None:
        """Read the file until the first run has a number of frames, or to the end."""
        while not self.is_complete and self.runs[0].count < frames:
            chain = next(self._chains, None)
            if chain is None:
                self._unread_bytes = self._scan.unread_bytes
                self.is_complete = True
                return
            if chain.kind != self.runs[-1].kind:
                if len(self.runs) == MAX_RUNS:
                    self._unread_bytes = self._size - chain.begins[0]
                    self.is_complete = True
                    return
                self.runs.append(Run(chain.kind))
            self.runs[-1].add(chain)


class ScannedFrames:
    """A `FrameSource` over one run of a table.

    Parameters
    ----------
    stated_count
        The number of frames in the only run, if the table is not complete.
    """

    def __init__(self, table: FrameTable, run: int = 0, *, stated_count: int = 0) -> None:
        self._table = table
        self._run = table.runs[run]
        self._stated_count = stated_count

    @property
    def kind(self) -> FrameKind:
        return self._run.kind

    @property
    def count(self) -> int:
        return self._run.count if self._table.is_complete else self._stated_count

    @property
    def skipped_bytes(self) -> int:
        return self._table.skipped_bytes

    def verify_count(self, stop: int) -> None:
        self._table.extend(stop)

    def span(self, first: int, stop: int) -> Span:
        self._table.extend(stop)
        run, mark = self._run, first // MARK_FRAMES
        stop = min(stop, run.count)
        if first >= stop:
            return Span([], b"")
        last_mark = -(-stop // MARK_FRAMES)
        begin, end = run.marks[mark], run.marks[last_mark] if last_mark < len(run.marks) else run.end
        scan = FrameScan(
            self._table.file, end, begin, kind=run.kind, chunk_bytes=min(end - begin, MAX_CHUNK_BYTES)
        )
        lengths: list[int] = []
        parts: list[memoryview] = []
        number = mark * MARK_FRAMES
        for chain in scan.chains():
            ends = [*chain.begins[1:], chain.end]
            skip, take = max(0, first - number), stop - number
            number += len(ends)
            if skip < len(ends) and take > 0 and chain.kind == run.kind:
                begins, ends = chain.begins[skip:take], ends[skip:take]
                lengths += [end - begin for begin, end in zip(begins, ends, strict=True)]
                parts.append(chain.data[begins[0] - chain.begins[0] : ends[-1] - chain.begins[0]])
        return Span(lengths, b"".join(parts))
