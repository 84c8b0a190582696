"""Find the links of chained Ogg files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from audio_classifier.audio.ogg_pages import (
    MARK,
    MAX_JUNK_BYTES,
    MAX_PAGE_BYTES,
    MAX_TRACKS,
    PIECE_BYTES,
    Page,
    find_last_page,
    first_pages,
    parse_page,
)
from audio_classifier.audio.source import FetchingFile, SeekableFile, read_at, size_of

MAX_LINKS: Final = 256
MAX_CANDIDATES: Final = MAX_LINKS * MAX_TRACKS
SCAN_BYTES: Final = 1 << 20
FIRST_PAGE: Final = re.compile(rb"OggS\x00[\x02\x03\x06\x07]")
# The number of pages in these bytes is estimated from their size at both ends; beyond, from the largest size.
MAX_ESTIMATED_BYTES: Final = 16 << 20
MAX_ESTIMATION_ERROR: Final = 1.5


@dataclass(frozen=True, slots=True)
class Links:
    """Where the links of a file begin, and where the last one ends; ``is_complete`` if these are all."""

    begins: list[int]
    end: int
    is_complete: bool = True


def find_links(file: SeekableFile) -> Links:
    """Find the links from the first and last pages, or from all pages if these differ.

    At most `MAX_LINKS` are found.  Bytes after the last page belong to no link if they are many.
    """
    size = size_of(file)
    last = find_last_page(file, 0, size)
    if size > 2 * PIECE_BYTES and last is not None and not _may_be_chained(file, size, last):
        return Links([0], size)
    return _scan(file, size, has_end=last is not None)


def _may_be_chained(file: SeekableFile, size: int, last: Page) -> bool:
    """Return whether the last page can belong to another link than the first ones.

    Its serial number shows it, unless all links have the same, as those of some recorders.  Then the last
    page's own number is too low for the length of the file.
    """
    head = read_at(file, 0, PIECE_BYTES)
    tracks = first_pages(head)
    if last.serial not in {track.serial for track in tracks}:
        return True
    if len(tracks) > 1:
        return False
    begins = (parse_page(head, match.start()) for match in FIRST_PAGE.finditer(head, 1))
    if any(begins):
        return True
    page_bytes: float = MAX_PAGE_BYTES
    if size <= MAX_ESTIMATED_BYTES:
        tail = read_at(file, size - PIECE_BYTES, PIECE_BYTES)
        page_bytes = MAX_ESTIMATION_ERROR * max(len(data) / max(1, data.count(MARK)) for data in (head, tail))
    return size > page_bytes * (last.sequence - tracks[0].sequence + 1)


def _scan(file: SeekableFile, size: int, *, has_end: bool) -> Links:
    """Search all of a file for first pages, which are next to each other if a link has several tracks.

    Parameters
    ----------
    has_end
        Whether the file ends with a page; otherwise, the search ends where there are no more pages.
    """
    begins: list[int] = []
    previous_end, candidates, pages_end = -1, 0, 0
    file.seek(0)
    if isinstance(file, FetchingFile):
        file.expect(size)
    data, position = b"", 0
    while piece := read_at(file, position + len(data), SCAN_BYTES):
        data += piece
        limit = len(data) if position + len(data) >= size else len(data) - MAX_PAGE_BYTES
        for match in FIRST_PAGE.finditer(data):
            if match.start() >= limit:
                break
            page = parse_page(data, match.start(), position)
            candidates += 1
            if page is not None and page.begin != previous_end:
                begins.append(page.begin)
            previous_end = page.end if page is not None else -1
            if len(begins) > MAX_LINKS or candidates > MAX_CANDIDATES:
                return Links(_from_zero(begins[:MAX_LINKS]), position + match.start(), is_complete=False)
        if MARK in data:
            pages_end = position + data.rfind(MARK) + MAX_PAGE_BYTES
        elif not has_end and position - pages_end > MAX_JUNK_BYTES:
            return Links(_from_zero(begins), pages_end)
        if limit == len(data):
            break
        position, data = position + limit, data[limit:]
    return Links(_from_zero(begins), size)


def _from_zero(begins: list[int]) -> list[int]:
    """Make a link, which cannot be read, of the bytes before the first one."""
    return begins if begins[:1] == [0] else [0, *begins]
