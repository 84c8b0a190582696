"""Read-only views of files: byte ranges, and bytes that are not in any file, one after another."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeAlias

from audio_classifier.audio.source import FetchingFile, SeekableFile, read_at


@dataclass(frozen=True, slots=True)
class FileRange:
    """Bytes ``[begin, end)`` of a file."""

    file: SeekableFile
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Generated:
    """``size`` bytes that ``make`` returns when they are read."""

    size: int
    make: Callable[[], bytes]


Part: TypeAlias = bytes | FileRange | Generated


class FileView:
    """A seekable file that consists of parts; a read returns at most the rest of one part.

    Parameters
    ----------
    parts
        The content, in order.  Files in it must exist as long as the view.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = [part for part in parts if _size(part) > 0]
        self._ends = list(accumulate(map(_size, self._parts)))
        self._size = self._ends[-1] if self._ends else 0
        self._position = 0
        self._generated: tuple[int, bytes] = -1, b""  # the part that was generated last, and its bytes

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if position < 0:
            raise ValueError(f"negative seek position {position}")
        self._position = position
        return position

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes; nothing at the end, or where a file is shorter than its range."""
        if size <= 0 or self._position >= self._size:
            return b""
        index, offset = self._locate()
        part = self._parts[index]
        size = min(size, self._ends[index] - self._position)
        if isinstance(part, FileRange):
            data = read_at(part.file, part.begin + offset, size)
        else:
            content = part if isinstance(part, bytes) else self._generate(index, part)
            data = content[offset : offset + size]
        self._position += len(data)
        return data

    def expect(self, size: int) -> None:
        """Announce that ``size`` bytes will be read from the current position, as `FetchingFile` does."""
        if self._position >= self._size:
            return
        index, offset = self._locate()
        part = self._parts[index]
        if isinstance(part, FileRange) and isinstance(part.file, FetchingFile):
            part.file.seek(part.begin + offset)
            part.file.expect(min(size, self._ends[index] - self._position))

    def _locate(self) -> tuple[int, int]:
        """Return the part at the current position, and the offset in it."""
        index = bisect_right(self._ends, self._position)
        return index, self._position - (self._ends[index] - _size(self._parts[index]))

    def _generate(self, index: int, part: Generated) -> bytes:
        if self._generated[0] != index:
            self._generated = index, part.make()
        return self._generated[1]


def _size(part: Part) -> int:
    if isinstance(part, FileRange):
        return part.end - part.begin
    return part.size if isinstance(part, Generated) else len(part)
