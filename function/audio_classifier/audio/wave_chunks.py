"""Read the chunks of WAV and RF64 files whose structure is wrong.

Recorders write the size of the audio when they close a file.  If they lose power, or write to a pipe, the
size is 0 or 2^32 - 1.  Other programs write several data chunks, forget the byte after a chunk of odd
length, or append one file to another.

Sources: *Multimedia Programming Interface and Data Specifications 1.0* (RIFF), EBU Tech 3306 (RF64).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final

from audio_classifier.audio.source import SeekableFile, read_at, size_of
from audio_classifier.audio.views import FileRange, FileView
from audio_classifier.audio.warnings import REPAIRED, TRUNCATED, AudioWarning, unread_bytes

FIRST_CHUNK: Final = 12
CHUNK_HEADER_BYTES: Final = 8
MAX_CHUNKS: Final = 1000
MAX_FORMAT_BYTES: Final = 1 << 16
UNKNOWN_SIZE: Final = 0xFFFFFFFF
DS64_SIZES: Final = "<QQ"  # of the file and of the audio
DS64_BYTES: Final = 28
NAME: Final = re.compile(rb"[ -~]{4}")
FILE_NAMES: Final = (b"RIFF", b"RIFX", b"RF64")
# Names that show that the byte after a chunk of odd length is missing.
COMMON_NAMES: Final = (b"data", b"fmt ", b"fact", b"LIST", b"bext", b"cue ", b"smpl", b"id3 ", b"ID3 ")
MAX_FILES: Final = 64  # that follow one another


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk of a RIFF or IFF file.

    Attributes
    ----------
    name
        Its name.
    begin
        The position of its content.
    size
        The stated size of the content.
    is_misplaced
        Whether it follows another one without the byte that should be between them.
    """

    name: bytes
    begin: int
    size: int
    is_misplaced: bool = False

    @property
    def end(self) -> int:
        """The position after the content and its padding."""
        return self.begin + self.size + self.size % 2


def read_chunks(
    file: SeekableFile, order: str, position: int, *, until: bytes | None = None, head: bytes = b""
) -> list[Chunk]:
    """Return the chunks from a position on, to one of a name, to another file, or to what is not a chunk.

    Parameters
    ----------
    order
        ``"<"`` or ``">"``, the byte order of sizes.
    head
        The first bytes of the file, which need not be read again.
    """
    chunks: list[Chunk] = []
    for _ in range(MAX_CHUNKS):
        header = head[position - 1 : position + CHUNK_HEADER_BYTES]
        if len(header) < 1 + CHUNK_HEADER_BYTES:
            header = read_at(file, position - 1, 1 + CHUNK_HEADER_BYTES)
        is_misplaced = bool(chunks) and chunks[-1].size % 2 == 1 and header[:4] in COMMON_NAMES
        header = header[:CHUNK_HEADER_BYTES] if is_misplaced else header[1:]
        position -= is_misplaced
        if len(header) < CHUNK_HEADER_BYTES or not NAME.match(header) or header.startswith(FILE_NAMES):
            break
        name, size = struct.unpack(f"{order}4sI", header)
        chunks.append(Chunk(name, position + CHUNK_HEADER_BYTES, size, is_misplaced))
        if name == until:
            break
        position = chunks[-1].end
    return chunks


def wave_files(file: SeekableFile, head: bytes) -> tuple[list[SeekableFile], list[AudioWarning]]:
    """Return the WAV or RF64 files that follow one another in a file, as views that libsndfile reads.

    Parameters
    ----------
    head
        The first bytes of the file.
    """
    size = size_of(file)
    files: list[SeekableFile] = []
    warnings: list[AudioWarning] = []
    begin = 0
    while True:
        view, end, found = _Wave(file, begin, size, head).repaired()
        files.append(view)
        warnings += found
        head = read_at(file, end, FIRST_CHUNK) if end < size else b""
        if end <= begin or len(files) == MAX_FILES or not _is_wave(head):
            break
        begin = end
    if len(files) > 1:
        message = f"{len(files)} WAV files follow one another in the file"
        warnings.append(AudioWarning(REPAIRED, message, {"files": len(files)}))
    return files, warnings + unread_bytes(size - end)


def never_finalised() -> AudioWarning:
    """Return the warning about a header without the size of the audio."""
    message = "the header of the file was never finalised; the audio was read to the end of the file"
    return AudioWarning(TRUNCATED, message, {})


def cut(stated: int, present: int) -> AudioWarning:
    """Return the warning about a file that ends before its audio, with both sizes in bytes."""
    message = f"the file is truncated: its header states {stated} bytes of audio, but {present} are present"
    return AudioWarning(TRUNCATED, message, {"stated_bytes": stated, "present_bytes": present})


def _is_wave(head: bytes) -> bool:
    return head.startswith(FILE_NAMES) and head[8:12] == b"WAVE"


class _Wave:
    """One of the WAV or RF64 files in a file that ends at ``size``."""

    def __init__(self, file: SeekableFile, begin: int, size: int, head: bytes) -> None:
        self._file = file
        self._begin = begin
        self._size = size
        self._magic = head[:4]
        self._order = ">" if self._magic == b"RIFX" else "<"
        self._before = read_chunks(
            file, self._order, begin + FIRST_CHUNK, until=b"data", head=b"" if begin else head
        )

    def repaired(self) -> tuple[SeekableFile, int, list[AudioWarning]]:
        """Return the file or a view of it, the position after it, and what was repaired."""
        if not self._before or self._before[-1].name != b"data":
            return self._view(self._size), self._size, []
        data = self._before[-1]
        stated, present = self._stated_size(data), self._size - data.begin
        if present <= 0:
            return self._view(self._size), self._size, []
        if self._is_open(data, stated):
            ranges = [FileRange(self._file, data.begin, self._size)]
            return self._with_audio(ranges), self._size, [never_finalised()]
        if stated > present:
            return self._view(self._size), self._size, [cut(stated, present)]
        return self._with_all_data(data, stated)

    def _stated_size(self, data: Chunk) -> int:
        if self._magic == b"RF64" and data.size == UNKNOWN_SIZE:
            for chunk in self._before:
                if chunk.name == b"ds64":
                    sizes = read_at(self._file, chunk.begin, struct.calcsize(DS64_SIZES))
                    return struct.unpack(DS64_SIZES, sizes)[1] if len(sizes) == 16 else UNKNOWN_SIZE
        return data.size

    def _is_open(self, data: Chunk, stated: int) -> bool:
        """Return whether the audio continues to the end of the file.

        Chunks that fill the rest of the file can also follow an empty data chunk.
        """
        if stated != 0:
            return stated == UNKNOWN_SIZE
        after = read_chunks(self._file, self._order, data.begin)
        return not after or after[-1].end < self._size

    def _with_all_data(self, data: Chunk, stated: int) -> tuple[SeekableFile, int, list[AudioWarning]]:
        """Join further data chunks to the first."""
        end = data.begin + stated + stated % 2
        after = read_chunks(self._file, self._order, end) if end < self._size else []
        ranges = [FileRange(self._file, data.begin, data.begin + stated)]
        warnings = []
        for chunk in after:
            if chunk.name == b"data":
                stop = self._size if self._is_open(chunk, chunk.size) else chunk.begin + chunk.size
                ranges.append(FileRange(self._file, chunk.begin, min(stop, self._size)))
                end = stop + stop % 2
            elif chunk.end <= self._size + 1 or chunk.name in COMMON_NAMES:
                end = chunk.end
            if end >= self._size:
                break
        if len(ranges) > 1:
            message = f"the file has {len(ranges)} data chunks, which were joined"
            warnings.append(AudioWarning(REPAIRED, message, {"data_chunks": len(ranges)}))
        elif any(chunk.is_misplaced for chunk in self._before):
            message = "the byte after a chunk of odd length is missing; all audio was read"
            warnings.append(AudioWarning(REPAIRED, message, {}))
        end = min(end, self._size)
        return self._with_audio(ranges) if warnings else self._view(end), end, warnings

    def _view(self, end: int) -> SeekableFile:
        is_whole = self._begin == 0 and end == self._size
        return self._file if is_whole else FileView([FileRange(self._file, self._begin, end)])

    def _with_audio(self, ranges: list[FileRange]) -> SeekableFile:
        """Return a view with a new header, whose only data chunk consists of ranges of the file."""
        total = sum(part.end - part.begin for part in ranges)
        chunk = next((chunk for chunk in self._before if chunk.name == b"fmt "), None)
        if chunk is None:
            return self._view(self._size)
        content = read_at(self._file, chunk.begin, min(chunk.size, MAX_FORMAT_BYTES))
        header = b"fmt " + self._uint32(len(content)) + content + bytes(len(content) % 2)
        if self._magic == b"RF64":
            file_size = (
                len(b"WAVE") + CHUNK_HEADER_BYTES + DS64_BYTES + len(header) + CHUNK_HEADER_BYTES + total
            )
            sizes = struct.pack(DS64_SIZES, file_size, total).ljust(DS64_BYTES, b"\0")
            header = b"ds64" + self._uint32(DS64_BYTES) + sizes + header
            file_size = audio_size = UNKNOWN_SIZE
        else:
            file_size = len(b"WAVE") + len(header) + CHUNK_HEADER_BYTES + total
            audio_size = total
        header = self._magic + self._uint32(file_size) + b"WAVE" + header + b"data" + self._uint32(audio_size)
        return FileView([header, *ranges])

    def _uint32(self, value: int) -> bytes:
        return struct.pack(f"{self._order}I", min(value, UNKNOWN_SIZE))
