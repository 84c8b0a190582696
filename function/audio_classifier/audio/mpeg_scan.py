"""Find the frames of MPEG audio in a file, across any other bytes between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from audio_classifier.audio.mpeg import (
    HEADER,
    HEADER_BYTES,
    MAX_FRAME_BYTES,
    FrameKind,
    frame_kind,
    metadata_bytes,
)
from audio_classifier.audio.source import FetchingFile, SeekableFile, read_at

# Frames in a row that show that a header is one; in random bytes, one per 100 MB would be wrong.
CHAIN_FRAMES: Final = 3
LOOKAHEAD_BYTES: Final = (CHAIN_FRAMES + 1) * MAX_FRAME_BYTES
FIRST_CHUNK_BYTES: Final = 128 << 10
MAX_CHUNK_BYTES: Final = 1 << 20
MAX_GAP_BYTES: Final = (1 << 20) + LOOKAHEAD_BYTES  # between two frames
MAX_JUNK_BYTES: Final = 8 << 20  # in a file
MAX_SEARCHES: Final = 100_000  # for a frame, and for the end of a tag, in a file


@dataclass(frozen=True, slots=True)
class Chain:
    """Frames of one kind without anything between them.

    Attributes
    ----------
    kind
        The kind of the frames.
    begins
        Their positions in the file.
    end
        The position after the last frame.
    data
        Their bytes.
    """

    kind: FrameKind
    begins: list[int]
    end: int
    data: memoryview


class FrameScan:
    """Read the frames of a file in order, from a position on.

    Parameters
    ----------
    file
        The file.
    size
        Where reading ends.
    position
        Where it begins; frames are searched from there on.
    kind
        The kind of the frame at the position, if it is known.
    chunk_bytes
        How much is read at first; each further chunk is twice as long, up to 1 MiB.

    Attributes
    ----------
    position
        The end of the last frame.
    skipped_bytes
        Bytes between frames, apart from tags.
    cut_bytes
        Bytes that the last frame lacks, because the file ends within it.
    unread_bytes
        Bytes after the last frame, apart from tags and the part of a frame.
    """

    def __init__(
        self,
        file: SeekableFile,
        size: int,
        position: int = 0,
        *,
        kind: FrameKind | None = None,
        chunk_bytes: int = FIRST_CHUNK_BYTES,
    ) -> None:
        self.position = position
        self.skipped_bytes = 0
        self.cut_bytes = 0
        self.unread_bytes = 0
        self._file = file
        self._size = size
        self._kind = kind
        self._searches_left = MAX_SEARCHES
        self._chunk_bytes = max(chunk_bytes, LOOKAHEAD_BYTES)
        self._data = b""
        self._base = position  # of `_data`

    def chains(self) -> Iterator[Chain]:
        """Yield the frames; a chain ends where sync is lost, but also at arbitrary frames."""
        kind = self._kind
        while True:
            self._load(self.position)
            if kind is not None and (chain := self._chain(kind)):
                yield chain
                continue
            self._skip_metadata()
            begin = self.position
            if not self._find():
                self._end(kind)
                return
            self.skipped_bytes += self.position - begin if kind else 0
            kind = frame_kind(self._data, self.position - self._base)

    def _load(self, position: int) -> None:
        """Have the bytes from a position on, as far as frames are checked."""
        end = self._base + len(self._data)
        if position + LOOKAHEAD_BYTES <= end or (end >= self._size and position <= end and self._data):
            return
        size = max(0, min(self._chunk_bytes, self._size - position))
        self._file.seek(position)
        if isinstance(self._file, FetchingFile):
            self._file.expect(size)
        self._data, self._base = read_at(self._file, position, size), position
        self._chunk_bytes = max(self._chunk_bytes, min(2 * self._chunk_bytes, MAX_CHUNK_BYTES))

    def _chain(self, kind: FrameKind) -> Chain | None:
        """Return the whole frames of a kind from the current position on, as far as they are in memory."""
        data, offset = self._data, self.position - self._base
        lengths, second, is_mono = kind.lengths, kind.second_byte, kind.channels == 1
        last = len(data) - HEADER_BYTES
        begins = []
        while (
            offset <= last
            and data[offset] == 0xFF
            and data[offset + 1] & 0xFE == second
            and (data[offset + 3] >= 0xC0) == is_mono
            and (length := lengths[data[offset + 2]])
        ):
            begins.append(offset)
            offset += length
        if offset > len(data):
            offset = begins.pop()
        if not begins:
            return None
        base, first = self._base, begins[0]
        self.position = base + offset
        return Chain(kind, [base + begin for begin in begins], self.position, memoryview(data)[first:offset])

    def _skip_metadata(self) -> None:
        while self.position < self._size:
            self._load(self.position)
            self._searches_left -= 1
            size = metadata_bytes(self._data, self.position - self._base)
            if size == 0 or self._searches_left <= 0:
                return
            self.position = min(self.position + size, self._size)

    def _find(self) -> bool:
        """Move to the next frame; return False, at the same position, if there is none within the limits."""
        begin = position = self.position
        end = min(self._size, begin + MAX_GAP_BYTES, begin + MAX_JUNK_BYTES - self.skipped_bytes)
        while position < end and self._searches_left > 0:
            self._load(position)
            match = HEADER.search(self._data, position - self._base, end - self._base)
            if match is None:
                position = max(position + 1, self._base + len(self._data) - HEADER_BYTES)
                continue
            position = self._base + match.start()
            self._searches_left -= 1
            self._load(position)
            if self._is_frame(position - self._base):
                self.position = position
                return True
            position += 1
        return False

    def _is_frame(self, offset: int) -> bool:
        """Return whether a frame begins at an offset in memory, by the bytes that follow it."""
        data, kind = self._data, frame_kind(self._data, offset)
        if kind is None:
            return False
        for count in range(CHAIN_FRAMES):
            if offset == len(data):  # the end of the file
                return count > 0
            if offset > len(data):
                return count > 1
            if frame_kind(data, offset) != kind:
                return count > 0 and metadata_bytes(data, offset) > 0
            offset += kind.lengths[data[offset + 2]]
        return True

    def _end(self, kind: FrameKind | None) -> None:
        """Count the bytes after the last frame."""
        left = self._size - self.position
        self._load(self.position)
        offset = self.position - self._base
        if kind is not None and left > 0 and frame_kind(self._data, offset) == kind:
            self.cut_bytes = max(0, kind.lengths[self._data[offset + 2]] - left)
        self.unread_bytes = 0 if self.cut_bytes else left
