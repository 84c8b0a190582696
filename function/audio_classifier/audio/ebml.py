"""Read the elements of EBML files, such as Matroska and WebM (RFC 8794)."""

from __future__ import annotations

from typing import Final

from audio_classifier.audio.source import SeekableFile, read_at

PIECE_BYTES: Final = 16 << 10  # of the file, read at once; twice as much for each further piece
MAX_PIECE_BYTES: Final = 1 << 20
MAX_CHILDREN: Final = 1000
MAX_HEADER_BYTES: Final = 12  # four for the id and eight for the size


class EbmlReader:
    """Read elements in the order of the file, without a stack: the caller skips an element or reads on in it.

    Elements of unknown size, as in live recordings, therefore need no special treatment.

    Parameters
    ----------
    file
        The file.  It is positioned before it is read, so that other readers may use it in between.
    position
        Where to begin.
    """

    def __init__(self, file: SeekableFile, position: int = 0) -> None:
        self._file = file
        self._begin = position  # of `_data` in the file
        self._data = b""
        self._offset = 0
        self._piece_bytes = PIECE_BYTES

    @property
    def position(self) -> int:
        """The position in the file."""
        return self._begin + self._offset

    def header(self) -> tuple[int, int | None] | None:
        """Return an element's id and size, None for an unknown size; or None if there is no element here."""
        self._fill(MAX_HEADER_BYTES)
        number = read_number(self._data, self._offset, keep_marker=True)
        if number is None or number[1] > 4:
            return None
        element, id_bytes = number
        size = read_number(self._data, self._offset + id_bytes)
        if size is None:
            return None
        self._offset += id_bytes + size[1]
        return element, None if size[0] == (1 << 7 * size[1]) - 1 else size[0]

    def peek(self, size: int) -> bytes:
        """Return the next bytes without reading on; fewer at the end of the file."""
        self._fill(size)
        return self._data[self._offset : self._offset + size]

    def read(self, size: int) -> bytes:
        """Return the next bytes; fewer at the end of the file."""
        data = self.peek(size)
        self._offset += len(data)
        return data

    def skip(self, size: int) -> None:
        """Move on by ``size`` bytes, which are not read if they are many."""
        self._offset += size
        if self._offset > len(self._data):
            self._begin, self._data, self._offset = self._begin + self._offset, b"", 0

    def find(self, mark: bytes, max_bytes: int) -> bool:
        """Move on to the next occurrence of ``mark`` within ``max_bytes``; return whether there is one."""
        end = self.position + max_bytes
        while self.position < end:
            self._fill(len(mark))
            found = self._data.find(mark, self._offset)
            if found >= 0:
                self._offset = found
                return True
            if len(self._data) - self._offset < len(mark):
                return False
            self._offset = len(self._data) - len(mark) + 1
        return False

    def _fill(self, size: int) -> None:
        """Read on in the file unless ``size`` bytes are available."""
        missing = size - (len(self._data) - self._offset)
        if missing > 0:
            self._begin += self._offset
            kept = self._data[self._offset :]
            self._data = kept + read_at(self._file, self._begin + len(kept), max(missing, self._piece_bytes))
            self._offset = 0
            self._piece_bytes = min(2 * self._piece_bytes, MAX_PIECE_BYTES)


def read_number(data: bytes, offset: int = 0, *, keep_marker: bool = False) -> tuple[int, int] | None:
    """Return a number of variable length and its length in bytes, or None if there is none.

    Parameters
    ----------
    data
        Bytes that contain the number.
    offset
        Where it begins.
    keep_marker
        Whether the bit that marks the length is part of the number, as in ids.
    """
    if offset >= len(data) or data[offset] == 0:
        return None
    length = 9 - data[offset].bit_length()
    if offset + length > len(data):
        return None
    value = int.from_bytes(data[offset : offset + length], "big")
    return value if keep_marker else value & (1 << 7 * length) - 1, length


def children(data: bytes) -> list[tuple[int, bytes]]:
    """Return the ids and contents of the first elements in the content of an element, up to damage."""
    found: list[tuple[int, bytes]] = []
    offset = 0
    while len(found) < MAX_CHILDREN:
        element = read_number(data, offset, keep_marker=True)
        size = element and read_number(data, offset + element[1])
        if not element or not size:
            break
        begin = offset + element[1] + size[1]
        found.append((element[0], data[begin : begin + size[0]]))
        offset = begin + size[0]
    return found
