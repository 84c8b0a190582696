"""Repair the headers of WAV, RF64 and AIFF files that were never finalised, or have several data chunks.

Recorders write the size of the audio when they close a file.  If they lose power, or write to a pipe, the
size is 0 or 2^32 - 1.

Sources: *Multimedia Programming Interface and Data Specifications 1.0* (RIFF), EBU Tech 3306 (RF64), *Audio
Interchange File Format 1.3*.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final

from audio_classifier.audio.source import SeekableFile, read_at, size_of
from audio_classifier.audio.views import FileRange, FileView, Part
from audio_classifier.audio.warnings import PARTLY_READ, REPAIRED, TRUNCATED, AudioWarning

FIRST_CHUNK: Final = 12
CHUNK_HEADER_BYTES: Final = 8
MAX_CHUNKS: Final = 1000
MAX_HEADER_BYTES: Final = 1 << 20  # in front of the audio
UNKNOWN_SIZE: Final = 0xFFFFFFFF
MIN_AUDIO_BYTES: Final = 1 << 10  # fewer bytes after the last chunk are padding
SSND_HEADER_BYTES: Final = 8
DS64_SIZES: Final = "<QQ"  # of the file and of the audio
NAME: Final = re.compile(rb"[ -~]{4}")
COMM_FIELDS: Final = ">HIH"  # channels, frames, bits of a sample


@dataclass(frozen=True, slots=True)
class _Chunk:
    name: bytes
    begin: int  # of the content
    size: int

    @property
    def end(self) -> int:
        return self.begin + self.size + self.size % 2


def repaired_file(file: SeekableFile, head: bytes) -> tuple[SeekableFile, list[AudioWarning]]:
    """Return a file, or a view of it in which the header states the true size of the audio.

    Parameters
    ----------
    file
        An audio file of any format; those without such a header are returned unchanged.
    head
        Its first bytes.
    """
    if head.startswith((b"RIFF", b"RIFX", b"RF64")):
        return _Wave(file, head).repaired()
    if head.startswith(b"FORM"):
        return _repaired_aiff(file, head)
    return file, []


class _Wave:
    """The chunks of a WAV or RF64 file."""

    def __init__(self, file: SeekableFile, head: bytes) -> None:
        self._file = file
        self._size = size_of(file)
        self._order = ">" if head.startswith(b"RIFX") else "<"
        self._is_64_bit = head.startswith(b"RF64")
        self._before = _chunks(file, self._order, FIRST_CHUNK, until=b"data", head=head)

    def repaired(self) -> tuple[SeekableFile, list[AudioWarning]]:
        if not self._before or self._before[-1].name != b"data" or self._before[-1].begin > MAX_HEADER_BYTES:
            return self._file, []
        data = self._before[-1]
        present = self._size - data.begin
        stated = self._stated_size(data)
        if present <= 0:
            return self._file, []
        if stated == UNKNOWN_SIZE or (stated == 0 and not self._is_empty(data)):
            return self._with_audio([FileRange(self._file, data.begin, self._size)]), [_never_finalised()]
        if stated > present:
            return self._file, [_cut(stated, present)]
        return self._with_all_data(data, stated)

    def _stated_size(self, data: _Chunk) -> int:
        if self._is_64_bit and data.size == UNKNOWN_SIZE:
            for chunk in self._before:
                if chunk.name == b"ds64":
                    sizes = read_at(self._file, chunk.begin, struct.calcsize(DS64_SIZES))
                    return struct.unpack(DS64_SIZES, sizes)[1] if len(sizes) == 16 else UNKNOWN_SIZE
        return data.size

    def _is_empty(self, data: _Chunk) -> bool:
        """Return whether chunks that fill the rest of the file follow the empty data chunk."""
        after = _chunks(self._file, self._order, data.begin)
        return bool(after) and after[-1].end >= self._size

    def _with_all_data(self, data: _Chunk, stated: int) -> tuple[SeekableFile, list[AudioWarning]]:
        """Join further data chunks to the first, and report bytes that are not in a chunk."""
        end = data.begin + stated + stated % 2
        after = _chunks(self._file, self._order, end) if end < self._size else []
        more = [chunk for chunk in after if chunk.name == b"data"]
        if more:
            ranges = [FileRange(self._file, data.begin, data.begin + stated)]
            ranges += [
                FileRange(self._file, chunk.begin, min(chunk.begin + chunk.size, self._size))
                for chunk in more
            ]
            message = f"the file has {1 + len(more)} data chunks, which were joined"
            return self._with_audio(ranges), [AudioWarning(REPAIRED, message, {"data_chunks": 1 + len(more)})]
        unread = self._size - (after[-1].end if after else end)
        if unread >= MIN_AUDIO_BYTES:
            message = f"{unread} bytes that follow the audio were not read"
            return self._file, [AudioWarning(PARTLY_READ, message, {"unread_bytes": unread})]
        return self._file, []

    def _with_audio(self, ranges: list[FileRange]) -> FileView:
        """Return a view whose only data chunk consists of ranges of the file."""
        total = sum(part.end - part.begin for part in ranges)
        data = self._before[-1]
        header = bytearray(read_at(self._file, 0, data.begin))
        struct.pack_into(
            f"{self._order}I", header, 4, min(len(header) - CHUNK_HEADER_BYTES + total, UNKNOWN_SIZE)
        )
        is_long = self._is_64_bit and data.size == UNKNOWN_SIZE
        if is_long:
            for chunk in self._before:
                if chunk.name == b"ds64" and chunk.size >= struct.calcsize(DS64_SIZES):
                    struct.pack_into(
                        DS64_SIZES, header, chunk.begin, len(header) - CHUNK_HEADER_BYTES + total, total
                    )
        else:
            struct.pack_into(f"{self._order}I", header, data.begin - 4, min(total, UNKNOWN_SIZE))
        parts: list[Part] = [bytes(header), *ranges]
        return FileView(parts)


def _repaired_aiff(file: SeekableFile, head: bytes) -> tuple[SeekableFile, list[AudioWarning]]:
    chunks = _chunks(file, ">", FIRST_CHUNK, until=b"SSND", head=head)
    if not chunks or chunks[-1].name != b"SSND" or chunks[-1].begin > MAX_HEADER_BYTES:
        return file, []
    size, sound = size_of(file), chunks[-1]
    common = next((chunk for chunk in chunks if chunk.name == b"COMM"), None)
    present = size - sound.begin - SSND_HEADER_BYTES
    if common is None or present <= 0:
        return file, []
    if SSND_HEADER_BYTES < sound.size != UNKNOWN_SIZE:
        cut = sound.size > size - sound.begin
        return file, [_cut(sound.size - SSND_HEADER_BYTES, present)] if cut else []
    header = bytearray(read_at(file, 0, sound.begin))
    channels, _, bits = struct.unpack_from(COMM_FIELDS, header, common.begin)
    frame_bytes = channels * -(-bits // 8)
    if frame_bytes == 0:
        return file, []
    frames = min(present // frame_bytes, UNKNOWN_SIZE)
    struct.pack_into(COMM_FIELDS, header, common.begin, channels, frames, bits)
    struct.pack_into(">I", header, 4, min(size - CHUNK_HEADER_BYTES, UNKNOWN_SIZE))
    struct.pack_into(">I", header, sound.begin - 4, min(size - sound.begin, UNKNOWN_SIZE))
    return FileView([bytes(header), FileRange(file, sound.begin, size)]), [_never_finalised()]


def _chunks(
    file: SeekableFile, order: str, position: int, *, until: bytes | None = None, head: bytes = b""
) -> list[_Chunk]:
    """Return the chunks from a position on, to one of a name or to bytes that are not a chunk.

    ``head`` are the first bytes of the file, which need not be read again.
    """
    chunks: list[_Chunk] = []
    for _ in range(MAX_CHUNKS):
        header = head[position : position + CHUNK_HEADER_BYTES]
        if len(header) < CHUNK_HEADER_BYTES:
            header = read_at(file, position, CHUNK_HEADER_BYTES)
        if len(header) < CHUNK_HEADER_BYTES or not NAME.match(header):
            break
        name, size = struct.unpack(f"{order}4sI", header)
        chunks.append(_Chunk(name, position + CHUNK_HEADER_BYTES, size))
        if name == until:
            break
        position = chunks[-1].end
    return chunks


def _never_finalised() -> AudioWarning:
    message = "the header of the file was never finalised; the audio was read to the end of the file"
    return AudioWarning(TRUNCATED, message, {})


def _cut(stated: int, present: int) -> AudioWarning:
    message = f"the file is truncated: its header states {stated} bytes of audio, but {present} are present"
    return AudioWarning(TRUNCATED, message, {"stated_bytes": stated, "present_bytes": present})
