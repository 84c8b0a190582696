"""Open Ogg files: the links of chained streams, and the audio among several tracks.

A link is a stream with headers of its own; it can differ from the one before in rate, channels and codec.
libsndfile reads only the first link of a file, and only if its first track is audio.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Final

from audio_classifier.audio.codecs import ogg_codec
from audio_classifier.audio.links import LinkStream, OpenLink
from audio_classifier.audio.ogg_flac import FLAC_MARKS, OggFlac
from audio_classifier.audio.ogg_pages import (
    FIRST,
    LAST,
    MAX_DAMAGED_BYTES,
    MAX_PAGE_BYTES,
    PIECE_BYTES,
    Page,
    last_page,
    parse_page,
)
from audio_classifier.audio.ogg_pages import (
    MARK as PAGE_MARK,
)
from audio_classifier.audio.packet_stream import PacketStream
from audio_classifier.audio.sndfile import SampleType, SndfileStream
from audio_classifier.audio.source import FetchingFile, SeekableFile, read_at, size_of
from audio_classifier.audio.streams import FrameStream
from audio_classifier.audio.views import FileRange, FileView
from audio_classifier.audio.warnings import PARTLY_READ, TRUNCATED, AudioWarning
from audio_classifier.errors import AudioError, DamagedAudioError, EmptyAudioError, UnsupportedFormatError

MAX_LINKS: Final = 256
MAX_TRACKS: Final = 16
MAX_DOUBTFUL_BYTES: Final = 16 << 20  # are scanned if the size of their pages varies
MAX_DOUBTFUL_RATIO: Final = 1.5
SCAN_BYTES: Final = 1 << 20
FIRST_PAGE: Final = re.compile(rb"OggS\x00[\x02\x03\x06\x07]")
AUDIO_MARKS: Final = (b"\x01vorbis", b"OpusHead", *FLAC_MARKS)


def open_ogg(
    file: SeekableFile, *, dtype: SampleType = "float32"
) -> tuple[list[FrameStream], list[AudioWarning]]:
    """Open the audio of an Ogg file: Vorbis, Opus or FLAC.

    The end of the file shows whether it has several links; only then all of it is read to find them.

    Returns
    -------
    The stream of each link, and what was found while they were opened.

    Raises
    ------
    UnsupportedFormatError, UnreadableAudioError, UnsupportedAudioError, EmptyAudioError, DamagedAudioError
        If no link can be used.
    """
    size = size_of(file)
    if not _is_chained(file, size):
        return [_open_link(file, 0, size, dtype)], []
    begins, end = _scan(file, size)
    streams: list[FrameStream] = []
    failures: list[AudioError] = []
    open_link = OpenLink()
    for begin, stop in pairwise([*begins, end]):
        try:
            stream = LinkStream(open_link, partial(_open_link, file, begin, stop, dtype))
        except AudioError as error:
            failures.append(error)
            continue
        if stream.info.frames is None:
            failures.append(DamagedAudioError("the length of a chained Ogg stream is unknown"))
        else:
            streams.append(stream)
    if not streams:
        raise failures[0]
    return streams, _warnings(len(begins), failures, is_complete=end == size)


def _is_chained(file: SeekableFile, size: int) -> bool:
    """Return whether a file may have several links, from its first and last pages.

    The serial number of the last page shows it, unless all links have the same, as those of some recorders.
    Then the number of the last page is too low for the length of the file; if it is not certain, short files
    count as chained.
    """
    if size <= 2 * PIECE_BYTES:
        return True
    head = read_at(file, 0, PIECE_BYTES)
    tail = read_at(file, size - PIECE_BYTES, PIECE_BYTES)
    tracks = _tracks(head)
    last = last_page(tail) or _last_page(file, 0, size, None)
    if last is None:
        return False
    if last.serial not in {track.serial for track in tracks}:
        return True
    if len(tracks) > 1:
        return False
    pages = max(1, last.sequence - tracks[0].sequence + 1)
    usual_bytes = max(len(data) / max(1, data.count(PAGE_MARK)) for data in (head, tail))
    return size > pages * MAX_PAGE_BYTES or (
        size <= MAX_DOUBTFUL_BYTES and size > MAX_DOUBTFUL_RATIO * pages * usual_bytes
    )


def _scan(file: SeekableFile, size: int) -> tuple[list[int], int]:
    """Return where the links begin, and the end of the last one, which is the file's unless there are too many."""
    begins: list[int] = []
    previous_end, candidates = -1, 0
    file.seek(0)
    if isinstance(file, FetchingFile):
        file.expect(size)
    data, position = b"", 0
    while piece := read_at(file, position + len(data), SCAN_BYTES):
        data += piece
        is_end = position + len(data) >= size
        limit = len(data) if is_end else len(data) - MAX_PAGE_BYTES
        for match in FIRST_PAGE.finditer(data):
            if match.start() >= limit:
                break
            page = parse_page(data, match.start(), position)
            candidates += 1
            if page is not None and page.begin != previous_end:
                begins.append(page.begin)
            if len(begins) > MAX_LINKS or candidates > MAX_LINKS * MAX_TRACKS:
                return begins[:MAX_LINKS], match.start() + position
            previous_end = page.end if page is not None else -1
        if is_end:
            break
        position, data = position + limit, data[limit:]
    return begins or [0], size


def _warnings(links: int, failures: list[AudioError], *, is_complete: bool) -> list[AudioWarning]:
    failed = [error for error in failures if not isinstance(error, EmptyAudioError)]
    if not is_complete:
        message = f"the file has more than {MAX_LINKS} chained streams, of which the first {links} were read"
        return [AudioWarning(PARTLY_READ, message, {"streams": links})]
    if failed:
        message = f"{len(failed)} of {links} chained streams were not read: {failed[0]}"
        return [AudioWarning(PARTLY_READ, message, {"streams": links - len(failed)})]
    return []


def _open_link(file: SeekableFile, begin: int, end: int, dtype: SampleType) -> FrameStream:
    """Open the first audio track of a link."""
    tracks = _tracks(read_at(file, begin, min(PIECE_BYTES, end - begin)), begin)
    audio = next((track for track in tracks if track.body.startswith(AUDIO_MARKS)), None)
    if tracks and audio is None:
        names = ", ".join(dict.fromkeys(ogg_codec(track.body) or "an unknown codec" for track in tracks))
        raise UnsupportedFormatError(
            f"not a readable audio file: it contains {names}, which cannot be decoded"
        )
    last = None if audio is None else _last_page(file, begin, end, frozenset((audio.serial,)))
    if last is not None:
        end = last.end
    stream: FrameStream
    if audio is not None and audio.body.startswith(FLAC_MARKS):
        flac = OggFlac(file, begin, end, audio.serial, last.granule if last is not None else None)
        stream = PacketStream(flac, dtype=dtype)
    else:
        stream = SndfileStream(_link_view(file, begin, end, tracks, audio), dtype=dtype)
    if last is not None and not last.flags & LAST:
        message = "the recording is not marked as complete; its end may be missing"
        stream.warnings.append(AudioWarning(TRUNCATED, message, {}))
    return stream


def _link_view(
    file: SeekableFile, begin: int, end: int, tracks: list[Page], audio: Page | None
) -> SeekableFile:
    """Return a link as a file that begins with the audio track, which libsndfile then picks out of all."""
    if audio is None or audio is tracks[0]:
        return FileView([FileRange(file, begin, end)]) if begin > 0 or end < size_of(file) else file
    return FileView([FileRange(file, audio.begin, audio.end), FileRange(file, tracks[-1].end, end)])


def _tracks(head: bytes, position: int = 0) -> list[Page]:
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


def _last_page(file: SeekableFile, begin: int, end: int, serials: frozenset[int] | None) -> Page | None:
    """Return the last page in a range, which zeros or other bytes may follow."""
    reach = PIECE_BYTES
    while True:
        start = max(begin, end - reach)
        page = last_page(read_at(file, start, end - start), serials)
        if page is not None:
            return replace(page, begin=start + page.begin)
        if start == begin or reach >= MAX_DAMAGED_BYTES:
            return None
        reach *= 8
