"""Find, read and build pages of Ogg files (RFC 3533)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from audio_classifier.audio.search import find_mark
from audio_classifier.audio.source import SeekableFile, read_at

MARK: Final = b"OggS\x00"  # with the version
HEADER_BYTES: Final = 27
MAX_SEGMENTS: Final = 255
MAX_PAGE_BYTES: Final = HEADER_BYTES + MAX_SEGMENTS + MAX_SEGMENTS * 255
CONTINUED, FIRST, LAST = 1, 2, 4  # flags
NO_GRANULE: Final = -1  # the granule position of a page on which no packet ends
PIECE_BYTES: Final = 64 << 10  # of the file, read at once; twice as much for each further piece
MAX_PIECE_BYTES: Final = 1 << 20
# Bytes between pages, and of pages with a wrong checksum, that a search passes before it gives up.
MAX_DAMAGED_BYTES: Final = 32 << 20
MAX_JUNK_BYTES: Final = 4 << 20  # after the last page
MAX_TRACKS: Final = 16
SEARCH_SAMPLES: Final = 1 << 16  # about a second, which is read in the order of the file
_HEADER: Final = struct.Struct("<5sBqIIIB")
_REVERSED_BITS: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, slots=True)
class Page:
    """A page with a correct checksum, and its position in the file."""

    begin: int
    flags: int
    granule: int
    serial: int
    sequence: int
    lacing: bytes
    body: bytes

    @property
    def end(self) -> int:
        """Position of the first byte after the page."""
        return self.begin + HEADER_BYTES + len(self.lacing) + len(self.body)


def crc32(data: bytes) -> int:
    """Compute Ogg's CRC-32: zlib's polynomial without reversal of bits, inversion or initial value."""
    value = zlib.crc32(data.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(value.to_bytes(4, "little").translate(_REVERSED_BITS), "big")


def parse_page(data: bytes, offset: int = 0, position: int = 0) -> Page | None:
    """Return the page at an offset, or None if there is no whole page with a correct checksum.

    Parameters
    ----------
    data
        Bytes of a file.
    offset
        Where the page begins in ``data``.
    position
        Where ``data`` begin in the file.
    """
    end = _page_end(data, offset)
    if not offset < end <= len(data):
        return None
    _, flags, granule, serial, sequence, checksum, segments = _HEADER.unpack_from(data, offset)
    if crc32(data[offset : offset + 22] + bytes(4) + data[offset + 26 : end]) != checksum:
        return None
    body = offset + HEADER_BYTES + segments
    lacing = data[offset + HEADER_BYTES : body]
    return Page(position + offset, flags, granule, serial, sequence, lacing, data[body:end])


def read_pages(file: SeekableFile, begin: int, end: int) -> Iterator[Page]:
    """Yield the pages that begin in ``[begin, end)``; damaged ones are passed over.

    The file is read in pieces, before which it is positioned, so that other readers may use it in between.
    """
    data, offset, piece_bytes, damaged_bytes = b"", 0, PIECE_BYTES, 0
    while damaged_bytes <= MAX_DAMAGED_BYTES:
        if len(data) - offset < MAX_PAGE_BYTES and begin + len(data) < end:
            begin, data, offset = begin + offset, data[offset:], 0
            piece = read_at(file, begin + len(data), min(piece_bytes, end - begin - len(data)))
            if not piece:
                end = begin + len(data)
            data += piece
            piece_bytes = min(2 * piece_bytes, MAX_PIECE_BYTES)
            continue
        if offset >= len(data):
            return
        page = parse_page(data, offset, begin)
        if page is not None:
            offset += HEADER_BYTES + len(page.lacing) + len(page.body)
            yield page
            continue
        damaged_bytes += max(0, _page_end(data, offset) - offset)
        following = data.find(MARK, offset + 1)
        if following < 0:
            following = max(offset + 1, len(data) - len(MARK) + 1)
        damaged_bytes += following - offset
        offset = following


def first_pages(head: bytes, position: int = 0) -> list[Page]:
    """Return the first pages of the tracks in a link, which precede all other pages."""
    tracks: list[Page] = []
    offset = 0
    while len(tracks) < MAX_TRACKS:
        page = parse_page(head, offset, position)
        if page is None or not page.flags & FIRST:
            break
        tracks.append(page)
        offset = page.end - position
    return tracks


def find_last_page(
    file: SeekableFile, begin: int, end: int, serials: frozenset[int] | None = None
) -> Page | None:
    """Return the last page in ``[begin, end)`` on which a packet ends, or the last one of some streams.

    Up to `MAX_JUNK_BYTES` that follow it are passed over.
    """
    reach = PIECE_BYTES
    while True:
        start = max(begin, end - reach)
        page = _last_page(read_at(file, start, end - start), start, serials)
        if page is not None or start == begin or reach >= MAX_JUNK_BYTES:
            return page
        reach *= 8


def find_page(
    file: SeekableFile, begin: int, end: int, serial: int, granule: int, last_granule: int
) -> Page | None:
    """Find the last page of a stream whose granule position is at most ``granule``."""

    def probe(low: int, high: int) -> tuple[int, int] | None:
        page = next(_granule_pages(file, low, high, serial), None)
        return None if page is None else (page.begin, page.granule)

    position = find_mark(
        probe, granule, begin=begin, end=end, first=0, last=last_granule, tolerance=SEARCH_SAMPLES
    )
    found = None
    for page in _granule_pages(file, position, end, serial):
        if page.granule > granule:
            break
        found = page
    return found


def build_page(flags: int, granule: int, serial: int, sequence: int, lacing: bytes, body: bytes) -> bytes:
    """Assemble a page with its checksum."""
    header = _HEADER.pack(MARK, flags, granule, serial, sequence, 0, len(lacing))
    checksum = crc32(header + lacing + body)
    return header[:22] + checksum.to_bytes(4, "little") + header[26:] + lacing + body


def _last_page(data: bytes, position: int, serials: frozenset[int] | None) -> Page | None:
    damaged_bytes, offset = 0, data.rfind(MARK)
    while offset >= 0 and damaged_bytes <= 16 * len(data):
        page = parse_page(data, offset, position)
        if page is not None and page.granule >= 0 and (serials is None or page.serial in serials):
            return page
        damaged_bytes += max(1, _page_end(data, offset) - offset)
        offset = data.rfind(MARK, 0, offset)
    return None


def _granule_pages(file: SeekableFile, begin: int, end: int, serial: int) -> Iterator[Page]:
    return (page for page in read_pages(file, begin, end) if page.serial == serial and page.granule >= 0)


def _page_end(data: bytes, offset: int) -> int:
    """Return the offset after the page that a header claims, or ``offset`` if there is no header."""
    lacing = offset + HEADER_BYTES
    if lacing > len(data) or not data.startswith(MARK, offset):
        return offset
    segments = data[lacing - 1]
    return lacing + segments + sum(data[lacing : lacing + segments])
