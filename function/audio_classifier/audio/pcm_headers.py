"""Repair the headers of uncompressed files that were never finalised, cut, joined, or written wrongly.

Sources: *Audio Interchange File Format 1.3*, Apple's *Core Audio Format Specification 1.0*, Sony's *Wave64*,
the manual page ``audio(5)`` of the AU format; for WAV see `wave_chunks`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from audio_classifier.audio.caf import caf_chunks
from audio_classifier.audio.formats import W64_GUID
from audio_classifier.audio.source import SeekableFile, read_at, size_of
from audio_classifier.audio.views import FileRange, FileView
from audio_classifier.audio.warnings import MIN_UNREAD_BYTES, AudioWarning, unread_bytes
from audio_classifier.audio.wave_chunks import (
    CHUNK_HEADER_BYTES,
    FIRST_CHUNK,
    MAX_CHUNKS,
    UNKNOWN_SIZE,
    cut,
    never_finalised,
    read_chunks,
    wave_files,
)

MAX_HEADER_BYTES: Final = 1 << 20  # in front of the audio
SSND_HEADER_BYTES: Final = 8
COMM_FIELDS: Final = ">HIH"  # channels, frames, bits of a sample
AU_HEADER_BYTES: Final = 24
AU_SIZE_OFFSET: Final = 8
CAF_SIZE_BYTES: Final = 8  # in front of a chunk's content
CAF_EDIT_COUNT_BYTES: Final = 4  # at the beginning of the audio
W64_FIRST_CHUNK: Final = 40
W64_HEADER_BYTES: Final = 24  # of a chunk; its size includes them
W64_DATA: Final = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"


def repaired_files(file: SeekableFile, head: bytes) -> tuple[list[SeekableFile], list[AudioWarning]]:
    """Return a file, or views of it in which the headers state the true size of the audio.

    Parameters
    ----------
    file
        An audio file of any format; those without such a header are returned unchanged.
    head
        Its first bytes.

    Returns
    -------
    One file, or several WAV files if these follow one another, and what was found.
    """
    if head.startswith((b"RIFF", b"RIFX", b"RF64")):
        return wave_files(file, head)
    if head.startswith(b"FORM"):
        repaired, warnings = _repaired_aiff(file, head)
    elif field := _size_field(file, head):
        repaired, warnings = _with_true_size(file, field)
    else:
        repaired, warnings = file, []
    return [repaired], warnings


@dataclass(frozen=True, slots=True)
class _SizeField:
    """Where a header states the size of the audio, and in which manner.

    Attributes
    ----------
    position, layout
        The field, as `struct` unpacks it.
    begin
        The position of the audio.
    included_bytes
        Bytes that are not audio, but are included in the size.
    unknown
        The value that means "to the end of the file".
    has_chunks
        Whether chunks may follow the audio.
    """

    position: int
    layout: str
    begin: int
    included_bytes: int
    unknown: int
    has_chunks: bool


def _size_field(file: SeekableFile, head: bytes) -> _SizeField | None:
    if head.startswith((b".snd", b"dns.")) and len(head) >= AU_HEADER_BYTES:
        layout = ">I" if head.startswith(b".snd") else "<I"
        (begin,) = struct.unpack_from(layout, head, 4)
        return _SizeField(AU_SIZE_OFFSET, layout, begin, 0, UNKNOWN_SIZE, has_chunks=False)
    if head.startswith(b"caff"):
        for name, position, _ in caf_chunks(file):
            if name == b"data":
                begin = position + CAF_EDIT_COUNT_BYTES
                field = position - CAF_SIZE_BYTES
                return _SizeField(field, ">q", begin, CAF_EDIT_COUNT_BYTES, -1, has_chunks=True)
    if head.startswith(W64_GUID):
        position = W64_FIRST_CHUNK
        for _ in range(MAX_CHUNKS):
            chunk = read_at(file, position, W64_HEADER_BYTES)
            if len(chunk) < W64_HEADER_BYTES:
                break
            if chunk.startswith(W64_DATA):
                begin = position + W64_HEADER_BYTES
                return _SizeField(position + 16, "<q", begin, W64_HEADER_BYTES, -1, has_chunks=True)
            position += max(W64_HEADER_BYTES, -(-struct.unpack("<q", chunk[16:])[0] // 8) * 8)
    return None


def _with_true_size(file: SeekableFile, field: _SizeField) -> tuple[SeekableFile, list[AudioWarning]]:
    size = size_of(file)
    present = size - field.begin
    (value,) = struct.unpack(field.layout, read_at(file, field.position, struct.calcsize(field.layout)))
    stated = value - field.included_bytes
    if present <= 0 or field.begin > MAX_HEADER_BYTES:
        return file, []
    if value == field.unknown:
        warnings = []
    elif stated <= 0 and present >= MIN_UNREAD_BYTES:
        warnings = [never_finalised()]
    elif stated > present:
        warnings = [cut(stated, present)]
    else:
        return file, [] if field.has_chunks else unread_bytes(present - stated)
    end = field.position + struct.calcsize(field.layout)
    value = min(present + field.included_bytes, UNKNOWN_SIZE if field.unknown > 0 else 1 << 62)
    header = read_at(file, 0, field.position) + struct.pack(field.layout, value)
    return FileView([header, FileRange(file, end, size)]), warnings


def _repaired_aiff(file: SeekableFile, head: bytes) -> tuple[SeekableFile, list[AudioWarning]]:
    chunks = read_chunks(file, ">", FIRST_CHUNK, until=b"SSND", head=head)
    if not chunks or chunks[-1].name != b"SSND" or chunks[-1].begin > MAX_HEADER_BYTES:
        return file, []
    size, sound = size_of(file), chunks[-1]
    common = next((chunk for chunk in chunks if chunk.name == b"COMM"), None)
    present = size - sound.begin - SSND_HEADER_BYTES
    if common is None or present <= 0:
        return file, []
    if SSND_HEADER_BYTES < sound.size != UNKNOWN_SIZE:
        is_cut = sound.size > size - sound.begin
        return file, [cut(sound.size - SSND_HEADER_BYTES, present)] if is_cut else []
    header = bytearray(read_at(file, 0, sound.begin))
    channels, _, bits = struct.unpack_from(COMM_FIELDS, header, common.begin)
    frame_bytes = channels * -(-bits // 8)
    if frame_bytes == 0:
        return file, []
    frames = min(present // frame_bytes, UNKNOWN_SIZE)
    struct.pack_into(COMM_FIELDS, header, common.begin, channels, frames, bits)
    struct.pack_into(">I", header, 4, min(size - CHUNK_HEADER_BYTES, UNKNOWN_SIZE))
    struct.pack_into(">I", header, sound.begin - 4, min(size - sound.begin, UNKNOWN_SIZE))
    return FileView([bytes(header), FileRange(file, sound.begin, size)]), [never_finalised()]
