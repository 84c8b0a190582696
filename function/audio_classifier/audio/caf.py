"""Read the chunks of CAF files; check the packet table of ALAC.

libsndfile reports faults in that table on standard output.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Final

from audio_classifier.audio.source import SeekableFile, read_at
from audio_classifier.errors import UnreadableAudioError

FILE_HEADER_BYTES: Final = 8
CHUNK_HEADER_BYTES: Final = 12
FORMAT_OFFSET: Final = 28  # of the codec in the first chunk, `desc`
TABLE_HEADER_BYTES: Final = 24
MAX_CHUNKS: Final = 1000
MAX_TABLE_BYTES: Final = 16 << 20
# Sizes of packets: big-endian groups of seven bits, up to five bytes each.  A size of zero ends the table.
TABLE: Final = re.compile(rb"(?:[\x80-\xff]{0,4}[\x00-\x7f])*?(?:\x80{0,4}\x00|\Z)")


def check_packet_table(file: SeekableFile, head: bytes) -> None:
    """Refuse a CAF file with ALAC whose packet table is truncated or malformed; accept all other files.

    Raises
    ------
    UnreadableAudioError
        If libsndfile would fail to decode the table.
    """
    if not head.startswith(b"caff") or head[FORMAT_OFFSET : FORMAT_OFFSET + 4] != b"alac":
        return
    for name, position, size in caf_chunks(file):
        if name == b"pakt":
            table = read_at(file, position, min(size, MAX_TABLE_BYTES)) if size > 0 else b""
            if len(table) < size or not TABLE.match(table, TABLE_HEADER_BYTES):
                raise UnreadableAudioError("not a readable audio file: the CAF packet table is damaged")
            return
        if size < 0:  # of unknown length, to the end of the file
            return


def caf_chunks(file: SeekableFile) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each chunk, and position and size of its content; the size is -1 if it is unknown."""
    position = FILE_HEADER_BYTES
    for _ in range(MAX_CHUNKS):
        header = read_at(file, position, CHUNK_HEADER_BYTES)
        if len(header) < CHUNK_HEADER_BYTES:
            return
        name, size = struct.unpack(">4sq", header)
        position += CHUNK_HEADER_BYTES
        yield name, position, size
        position += max(0, size)
