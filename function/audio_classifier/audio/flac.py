"""Open FLAC files whose header does not describe them: of unknown length, truncated, joined, with tags.

libsndfile relies on the stated number of samples, and searches the whole file for the target of a seek, so it
fails if anything long follows the last frame.
"""

from __future__ import annotations

import re
from functools import partial
from itertools import pairwise
from typing import Final

from audio_classifier.audio.flac_frames import (
    HEADER_BYTES,
    MIN_TAIL_BYTES,
    Frame,
    StreamInfo,
    find_last_frame,
    header_with_samples,
    read_stream_info,
)
from audio_classifier.audio.links import open_links
from audio_classifier.audio.mpeg import APE_HEADER_BYTES, ID3V1_BYTES
from audio_classifier.audio.sndfile import SampleType, SndfileStream
from audio_classifier.audio.source import FetchingFile, SeekableFile, read_at, size_of
from audio_classifier.audio.streams import FrameStream
from audio_classifier.audio.views import FileRange, FileView
from audio_classifier.audio.warnings import (
    MIN_UNREAD_BYTES,
    REPAIRED,
    TRUNCATED,
    AudioWarning,
    unread_bytes,
    unread_files,
)
from audio_classifier.errors import AudioError

MAX_FILES: Final = 64
MAX_JUNK_BYTES: Final = 8 << 20  # between two files
SCAN_BYTES: Final = 1 << 20
FIRST_BLOCK: Final = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")  # with STREAMINFO, of 34 bytes
FIRST_BLOCK_BYTES: Final = 8


def open_flac(
    file: SeekableFile, *, dtype: SampleType = "float32"
) -> tuple[list[FrameStream], list[AudioWarning]]:
    """Open a FLAC file, or several that were joined to one.

    Only the end is read if it agrees with the header, otherwise all of the file that may contain audio.

    Returns
    -------
    The stream of each file, and what was found while they were opened.

    Raises
    ------
    UnreadableAudioError, UnsupportedAudioError, EmptyAudioError
        If no file can be used.
    """
    size = size_of(file)
    info = read_stream_info(file)
    last = find_last_frame(file, size, info) if info else None
    if info is None or last is None:  # libsndfile reports what is wrong
        return [SndfileStream(file, dtype=dtype)], []
    if info.samples == last.end and not _unread(file, last, size, info):
        return [SndfileStream(_without_rest(file, 0, last, size, info), dtype=dtype)], []
    files, found = [], []
    for begin, end in pairwise([*_find_files(file, size, last), size]):
        view, warnings = _described(file, begin, end)
        files.append(view)
        found += warnings
    streams, failures = open_links(partial(SndfileStream, view, dtype=dtype) for view in files)
    return streams, [*_joined(len(streams), failures), *found]


def _described(file: SeekableFile, begin: int, end: int) -> tuple[SeekableFile, list[AudioWarning]]:
    """Return one of several files, with a header that states the number of samples that it contains."""
    whole = FileView([FileRange(file, begin, end)])
    info = read_stream_info(file, begin)
    last = find_last_frame(file, end, info) if info else None
    if info is None or last is None:
        return whole, []
    warnings = _unread(file, last, end, info)
    if info.samples and info.samples != last.end:
        end_s, stated_s = last.end / info.rate_hz, info.samples / info.rate_hz
        code = TRUNCATED if last.end < info.samples else REPAIRED
        message = f"the file ends after {end_s:.4g} s, but its header states {stated_s:.4g} s"
        details = {"end_s": round(end_s, 3), "stated_s": round(stated_s, 3)}
        warnings.append(AudioWarning(code, message, details))
    return _without_rest(file, begin, last, end, info, samples=last.end), warnings


def _without_rest(
    file: SeekableFile, begin: int, last: Frame, end: int, info: StreamInfo, *, samples: int | None = None
) -> SeekableFile:
    """Hide what is far after the last frame, and state another number of samples if one is given."""
    end = min(end, last.position + max(info.frame_limit, MIN_TAIL_BYTES))
    if samples is not None:
        head = header_with_samples(read_at(file, begin, HEADER_BYTES), samples)
        return FileView([head, FileRange(file, begin + HEADER_BYTES, end)])
    return file if end == size_of(file) else FileView([FileRange(file, begin, end)])


def _unread(file: SeekableFile, last: Frame, end: int, info: StreamInfo) -> list[AudioWarning]:
    """Report many bytes that are neither the last frame nor tags."""
    unread = end - last.position - info.frame_limit
    if unread < MIN_UNREAD_BYTES:
        return []
    return unread_bytes(unread - _tag_bytes(file, end), is_estimate=True)


def _tag_bytes(file: SeekableFile, end: int) -> int:
    """Return the size of the ID3v1 and APE tags at the end of a file."""
    tail = read_at(file, max(0, end - ID3V1_BYTES - APE_HEADER_BYTES), ID3V1_BYTES + APE_HEADER_BYTES)
    size = ID3V1_BYTES if tail[-ID3V1_BYTES:].startswith(b"TAG") else 0
    footer = tail[: len(tail) - size][-APE_HEADER_BYTES:]
    if footer.startswith(b"APETAGEX"):
        size += int.from_bytes(footer[12:16], "little") + APE_HEADER_BYTES
    return size


def _joined(files: int, failures: list[AudioError]) -> list[AudioWarning]:
    if files > 1 and not failures:
        message = f"{files} FLAC files follow one another in the file; all were read"
        return [AudioWarning(REPAIRED, message, {"files_read": files})]
    return unread_files("FLAC", files, failures)


def _find_files(file: SeekableFile, size: int, last: Frame) -> list[int]:
    """Return the positions at which a FLAC file begins, at most `MAX_FILES`.

    The search ends `MAX_JUNK_BYTES` after the last frame of the file that was found last.
    """
    begins, position, limit = [0], 0, min(size, last.position + MAX_JUNK_BYTES)
    while position < limit and len(begins) < MAX_FILES:
        file.seek(position)
        if isinstance(file, FetchingFile):
            file.expect(limit - position)
        known = len(begins)
        while position < limit:
            data = read_at(file, position, min(SCAN_BYTES, limit - position) + FIRST_BLOCK_BYTES - 1)
            begins += [position + match.start() for match in FIRST_BLOCK.finditer(data, 0 if position else 1)]
            position = min(position + SCAN_BYTES, limit)
        info = read_stream_info(file, begins[-1]) if len(begins) > known else None
        if info and (frame := find_last_frame(file, size, info)):
            limit = min(size, frame.position + MAX_JUNK_BYTES)
    return begins[:MAX_FILES]
