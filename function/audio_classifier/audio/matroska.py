"""Read tracks and blocks of WebM and Matroska files (RFC 9559)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from audio_classifier.audio.ebml import EbmlReader, children, read_number
from audio_classifier.audio.source import SeekableFile
from audio_classifier.errors import UnreadableAudioError, UnsupportedFormatError

CLUSTER_MARK: Final = b"\x1fC\xb6u"
SEGMENT, INFO, TRACKS, CLUSTER = 0x18538067, 0x1549A966, 0x1654AE6B, 0x1F43B675
TIMESTAMP_SCALE: Final = 0x2AD7B1
TRACK, NUMBER, TYPE, CODEC, PRIVATE, ENCODINGS = 0xAE, 0xD7, 0x83, 0x86, 0x63A2, 0x6D80
TIMESTAMP, SIMPLE_BLOCK, BLOCK_GROUP, BLOCK, DISCARD_PADDING = 0xE7, 0xA3, 0xA0, 0xA1, 0x75A2
AUDIO_TYPE: Final = 2
DEFAULT_SCALE_NS: Final = 1_000_000
MAX_HEADER_BYTES: Final = 1 << 20  # of the tracks' descriptions
MAX_BLOCK_BYTES: Final = 1 << 20
# Elements and bytes without audio, among them the pictures of a video, after which the search for it ends.
MAX_FOREIGN_ELEMENTS: Final = 100_000
MAX_FOREIGN_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Track:
    """The first audio track of a file.

    Attributes
    ----------
    number
        Its number in blocks.
    codec
        Its codec's id, such as ``A_OPUS``.
    private
        The codec's headers.
    scale_ns
        The unit of timestamps.
    clusters_begin
        Where the first cluster begins in the file.
    """

    number: int
    codec: str
    private: bytes
    scale_ns: int
    clusters_begin: int


@dataclass(slots=True)
class Block:
    """Packets and the time of the first one, in the track's unit; ``discard_ns`` is cut from their end."""

    time: int
    packets: list[bytes]
    discard_ns: int = 0


def read_track(file: SeekableFile) -> Track:
    """Return the first audio track.

    Raises
    ------
    UnreadableAudioError
        If the file ends, or is damaged, before its first cluster.
    UnsupportedFormatError
        If there is no audio track, or it is compressed or encrypted as a whole.
    """
    reader = EbmlReader(file)
    scale_ns, tracks = DEFAULT_SCALE_NS, None
    for _ in range(MAX_FOREIGN_ELEMENTS):
        position = reader.position
        element = reader.header()
        if element is None:
            break
        name, size = element
        if name == CLUSTER:
            if tracks is None:
                break
            return _audio_track(tracks, scale_ns, position)
        if name == SEGMENT:
            continue
        if size is None:
            break
        if name in (INFO, TRACKS) and size <= MAX_HEADER_BYTES:
            content = reader.read(size)
            if name == TRACKS:
                tracks = content
            else:
                scale_ns = _integer(dict(children(content)).get(TIMESTAMP_SCALE, b"")) or DEFAULT_SCALE_NS
        else:
            reader.skip(size)
    raise UnreadableAudioError("not a readable audio file: the WebM or Matroska file ends within its header")


def read_blocks(file: SeekableFile, track: Track, position: int) -> Iterator[Block]:
    """Yield the blocks of a track from a cluster on.

    After damage, reading continues with the next cluster.
    """
    reader = EbmlReader(file, position)
    begin_time, is_ours = 0, False
    pending: Block | None = None
    foreign_elements, foreign_begin = 0, position
    while foreign_elements < MAX_FOREIGN_ELEMENTS and reader.position - foreign_begin < MAX_FOREIGN_BYTES:
        foreign_elements += 1
        element = reader.header()
        if element is not None and element[0] in (SEGMENT, CLUSTER, BLOCK_GROUP):
            continue
        if element is None or element[1] is None:
            reader.skip(1)
            if not reader.find(CLUSTER_MARK, MAX_FOREIGN_BYTES):
                break
            continue
        name, size = element[0], element[1]
        if name == TIMESTAMP and size <= 8:
            begin_time = _integer(reader.read(size))
        elif name in (SIMPLE_BLOCK, BLOCK):
            number = read_number(reader.peek(min(size, 8)))
            is_ours = number is not None and number[0] == track.number and size <= MAX_BLOCK_BYTES
            if not is_ours:
                reader.skip(size)
                continue
            block = _parsed_block(reader.read(size), begin_time)
            if block is not None:
                if pending is not None:
                    yield pending
                pending = block
                foreign_elements, foreign_begin = 0, reader.position
        elif name == DISCARD_PADDING and size <= 8 and is_ours and pending is not None:
            pending.discard_ns = int.from_bytes(reader.read(size), "big", signed=True)
        else:
            reader.skip(size)
    if pending is not None:
        yield pending


def cluster_time(reader: EbmlReader) -> int | None:
    """Return the timestamp of the cluster at the reader's position, or None if there is no cluster."""
    element = reader.header()
    if element is None or element[0] != CLUSTER:
        return None
    for _ in range(4):  # a checksum, the position and the previous size may come first
        element = reader.header()
        if element is None or element[1] is None or element[1] > 64:
            return None
        content = reader.read(element[1])
        if element[0] == TIMESTAMP and len(content) <= 8:
            return _integer(content)
    return None


def _audio_track(tracks: bytes, scale_ns: int, clusters_begin: int) -> Track:
    for name, content in children(tracks):
        fields = dict(children(content))
        if name != TRACK or _integer(fields.get(TYPE, b"")) != AUDIO_TYPE:
            continue
        codec = fields.get(CODEC, b"").rstrip(b"\x00").decode("latin-1")
        if ENCODINGS in fields:
            raise UnsupportedFormatError(
                f"not a readable audio file: its {codec} track is compressed or encrypted by the container"
            )
        number = _integer(fields.get(NUMBER, b""))
        return Track(number, codec, fields.get(PRIVATE, b""), scale_ns, clusters_begin)
    raise UnsupportedFormatError("not a readable audio file: the WebM or Matroska file has no audio track")


def _parsed_block(data: bytes, begin_time: int) -> Block | None:
    number = read_number(data)
    if number is None or len(data) < number[1] + 3:
        return None
    begin = number[1] + 3
    time = begin_time + int.from_bytes(data[number[1] : number[1] + 2], "big", signed=True)
    packets = laced_packets(data[begin:], data[begin - 1] >> 1 & 3)
    return Block(time, packets) if packets and all(packets) else None


def laced_packets(data: bytes, lacing: int) -> list[bytes]:
    """Split the content of a block into packets; return none if their sizes do not fit."""
    if lacing == 0:
        return [data]
    if not data:
        return []
    count, offset = data[0] + 1, 1
    sizes: list[int] = []
    if lacing == 2:
        sizes = [(len(data) - 1) // count] * (count - 1)
    while len(sizes) < count - 1:
        if lacing == 1:
            size = 0
            while offset < len(data) and data[offset] == 255:
                size, offset = size + 255, offset + 1
            if offset == len(data):
                return []
            size, offset = size + data[offset], offset + 1
        else:
            number = read_number(data, offset)
            if number is None:
                return []
            size, offset = number[0], offset + number[1]
            if sizes:  # the others are stored as differences
                size += sizes[-1] - (1 << 7 * number[1] - 1) + 1
        sizes.append(size)
    if min(sizes, default=0) < 0 or offset + sum(sizes) > len(data):
        return []
    packets = []
    for size in sizes:
        packets.append(data[offset : offset + size])
        offset += size
    return [*packets, data[offset:]]


def _integer(content: bytes) -> int:
    return int.from_bytes(content[:8], "big")
