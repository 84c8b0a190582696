"""Open Ogg files: the links of chained streams, and the audio among several tracks.

A link is a stream with headers of its own; it can differ from the one before in rate, channels and codec.
libsndfile reads only the first link of a file, and only if its first track is audio.
"""

from __future__ import annotations

import io
from functools import partial
from itertools import pairwise
from typing import Final

from audio_classifier.audio.codecs import ogg_codec
from audio_classifier.audio.links import open_links
from audio_classifier.audio.ogg_chain import MAX_LINKS, find_links
from audio_classifier.audio.ogg_flac import FLAC_MARKS, OggFlac
from audio_classifier.audio.ogg_pages import (
    LAST,
    MARK,
    MAX_SEGMENTS,
    PIECE_BYTES,
    Page,
    build_page,
    find_last_page,
    first_pages,
    read_pages,
)
from audio_classifier.audio.packet_stream import PacketStream
from audio_classifier.audio.sndfile import SampleType, SndfileStream
from audio_classifier.audio.source import SeekableFile, read_at, size_of
from audio_classifier.audio.streams import FrameStream
from audio_classifier.audio.views import FileRange, FileView, Part
from audio_classifier.audio.warnings import PARTLY_READ, TRUNCATED, AudioWarning, unread_bytes
from audio_classifier.errors import AudioError, DamagedAudioError, EmptyAudioError, UnsupportedFormatError

VORBIS_MARK: Final = b"\x01vorbis"
VORBIS_HEAD_BYTES: Final = 30
BLOCK_SIZES_OFFSET: Final = 28  # as powers of 2, the longer one in the upper half
AUDIO_MARKS: Final = (VORBIS_MARK, b"OpusHead", *FLAC_MARKS)


def open_ogg(
    file: SeekableFile, *, dtype: SampleType = "float32"
) -> tuple[list[FrameStream], list[AudioWarning]]:
    """Open the audio of an Ogg file: Vorbis, Opus or FLAC.

    Returns
    -------
    The stream of each link, and the warnings that were found while they were opened.

    Raises
    ------
    UnsupportedFormatError, UnreadableAudioError, UnsupportedAudioError, EmptyAudioError, DamagedAudioError
        If no link can be used.
    """
    links = find_links(file)
    if len(links.begins) == 1 and links.is_complete:
        return [_open_link(file, 0, links.end, dtype)], []
    streams, failures = open_links(
        partial(_open_chained_link, file, begin, end, dtype)
        for begin, end in pairwise([*links.begins, links.end])
    )
    warnings = _warnings(len(links.begins), failures, is_complete=links.is_complete)
    return streams, [*warnings, *unread_bytes(size_of(file) - links.end if links.is_complete else 0)]


def _warnings(links: int, failures: list[AudioError], *, is_complete: bool) -> list[AudioWarning]:
    failed = [error for error in failures if not isinstance(error, EmptyAudioError)]
    read = links - len(failed)
    if not is_complete:
        message = f"the file has more than {MAX_LINKS} chained streams, of which the first {read} were read"
    elif failed:
        message = f"{len(failed)} of {links} chained streams were not read: {failed[0]}"
    else:
        return []
    return [AudioWarning(PARTLY_READ, message, {"streams_read": read})]


def _open_chained_link(file: SeekableFile, begin: int, end: int, dtype: SampleType) -> FrameStream:
    """Open a link of known length; otherwise, the positions of the following ones would be unknown."""
    stream = _open_link(file, begin, end, dtype)
    if stream.info.frames is None:
        stream.close()
        raise DamagedAudioError("the end of a chained Ogg stream is missing")
    return stream


def _open_link(file: SeekableFile, begin: int, end: int, dtype: SampleType) -> FrameStream:
    """Open the first audio track of a link."""
    head = read_at(file, begin, min(PIECE_BYTES, end - begin))
    tracks = first_pages(head, begin)
    audio = next((track for track in tracks if track.body.startswith(AUDIO_MARKS)), None)
    if audio is None:
        if tracks:
            raise _unsupported(tracks)
        damaged = FileView([FileRange(file, begin, end)])
        return SndfileStream(damaged, dtype=dtype)  # raises the error that describes the damage
    last = find_last_page(file, begin, end, frozenset((audio.serial,)))
    unread = 0 if last is None or read_at(file, last.end, len(MARK)) == MARK else end - last.end
    end = end if last is None else last.end
    stream: FrameStream
    if audio.body.startswith(FLAC_MARKS):
        packets = OggFlac(file, audio.begin, end, audio.serial, None if last is None else last.granule)
        stream = PacketStream(packets, dtype=dtype)
    else:
        view = _view(file, begin, end, tracks, audio, last)
        stream = SndfileStream(view, dtype=dtype, can_seek=not _begins_late(head, audio))
    if last is not None and not last.flags & LAST:
        message = "the recording is not marked as complete, so its end may be missing"
        stream.warnings.append(AudioWarning(TRUNCATED, message, {}))
    stream.warnings += unread_bytes(unread)
    return stream


def _begins_late(head: bytes, audio: Page) -> bool:
    """Return whether a Vorbis stream was recorded from its middle, so that its positions do not begin at 0.

    libsndfile seeks to a wrong position in such files.

    Parameters
    ----------
    head
        The beginning of the link.
    audio
        The first page of the stream.
    """
    if not audio.body.startswith(VORBIS_MARK) or len(audio.body) < VORBIS_HEAD_BYTES:
        return False
    longest_block = 1 << (audio.body[BLOCK_SIZES_OFFSET] >> 4)
    for page in read_pages(io.BytesIO(head), 0, len(head)):
        if page.serial == audio.serial and page.granule > 0:
            packets = sum(size < MAX_SEGMENTS for size in page.lacing)
            return page.granule > packets * longest_block // 2
    return False


def _view(
    file: SeekableFile, begin: int, end: int, tracks: list[Page], audio: Page, last: Page | None
) -> SeekableFile:
    """Return a link as a file for libsndfile.

    libsndfile picks out the track to which the first page belongs, and accepts a cut in the last packet only
    if its page is marked as the last one.
    """
    is_marked = last is None or bool(last.flags & LAST)
    if is_marked and audio is tracks[0]:
        return file if begin == 0 and end == size_of(file) else FileView([FileRange(file, begin, end)])
    parts: list[Part] = [FileRange(file, audio.begin, audio.end)]
    if last is None or is_marked:
        parts.append(FileRange(file, tracks[-1].end, end))
    elif last.begin >= tracks[-1].end:
        marked = build_page(
            last.flags | LAST, last.granule, last.serial, last.sequence, last.lacing, last.body
        )
        parts += [FileRange(file, tracks[-1].end, last.begin), marked]
    return FileView(parts)


def _unsupported(tracks: list[Page]) -> UnsupportedFormatError:
    names = dict.fromkeys(ogg_codec(track.body) or "an unknown codec" for track in tracks)
    return UnsupportedFormatError(
        f"not a readable audio file: it contains {', '.join(names)}, which cannot be decoded"
    )
