"""Headers of FLAC files and frames, and where the last frame of a file lies.

Source: RFC 9639.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from audio_classifier.audio.search import MIN_RANGE_BYTES, find_mark
from audio_classifier.audio.source import SeekableFile, read_at

MARK: Final = b"fLaC"
BLOCK_HEADER_BYTES: Final = 4
STREAM_INFO_BYTES: Final = 34
STREAM_INFO_BEGIN: Final = len(MARK) + BLOCK_HEADER_BYTES
HEADER_BYTES: Final = STREAM_INFO_BEGIN + STREAM_INFO_BYTES  # without other metadata
MAX_BLOCKS: Final = 1000
LAST_BLOCK: Final = 0x80
SAMPLE_COUNT_BITS: Final = 36
MAX_HEADER_BYTES: Final = 16  # of a frame
MIN_TAIL_BYTES: Final = 64 << 10
MAX_TAIL_BYTES: Final = 1 << 20
SYNC: Final = re.compile(rb"\xff[\xf8\xf9]")  # fixed and variable block size
RATES_HZ: Final = (
    *(None, 88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000),
    *(32_000, 44_100, 48_000, 96_000, None, None, None),
)
SAMPLE_BITS: Final = (None, 8, 12, 0, 16, 20, 24, 32)  # 0 is reserved
BLOCK_SIZES: Final = (0, 192, *(576 << n for n in range(4)), 0, 0, *(256 << n for n in range(8)))
MAX_CANDIDATES: Final = 100  # headers after the last frame that look like frames
BLOCK_SIZE_8, BLOCK_SIZE_16, RATE_8, RATE_16 = 6, 7, 12, 13  # stored after the frame's number


def _crc8_table() -> Iterator[int]:
    """Yield the remainders for the polynomial x^8 + x^2 + x + 1."""
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
        yield crc


CRC8: Final = bytes(_crc8_table())


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """The properties in the first metadata block, and the position after the last one."""

    max_block_samples: int
    max_frame_bytes: int  # 0 if unknown
    rate_hz: int
    channels: int
    sample_bits: int
    samples: int  # per channel; 0 if unknown
    audio_begin: int

    @property
    def frame_limit(self) -> int:
        """Bytes of a frame, at most: as stated, or as uncompressed samples take."""
        stored = self.max_block_samples * self.channels * (self.sample_bits + 1) // 8
        return self.max_frame_bytes or stored + MAX_HEADER_BYTES + self.channels

    @property
    def tail_bytes(self) -> int:
        """Bytes that contain two frames."""
        return min(max(MIN_TAIL_BYTES, 2 * self.frame_limit), MAX_TAIL_BYTES)


@dataclass(frozen=True, slots=True)
class Frame:
    """The position of a frame, and its first and last samples."""

    position: int
    begin: int
    end: int


def read_stream_info(file: SeekableFile, begin: int = 0) -> StreamInfo | None:
    """Read the metadata of the FLAC file that begins at a position; return None if it is damaged."""
    head = read_at(file, begin, HEADER_BYTES)
    if len(head) < HEADER_BYTES or head[4] & 0x7F:
        return None
    position, is_last = begin + len(MARK), False
    for _ in range(MAX_BLOCKS):
        block = read_at(file, position, BLOCK_HEADER_BYTES)
        if len(block) < BLOCK_HEADER_BYTES:
            return None
        position += BLOCK_HEADER_BYTES + int.from_bytes(block[1:], "big")
        if is_last := bool(block[0] & LAST_BLOCK):
            break
    block = head[STREAM_INFO_BEGIN:]
    packed = int.from_bytes(block[10:18], "big")  # rate, channels, bits, samples
    info = StreamInfo(
        max_block_samples=int.from_bytes(block[2:4], "big"),
        max_frame_bytes=int.from_bytes(block[7:10], "big"),
        rate_hz=packed >> 44,
        channels=(packed >> 41 & 7) + 1,
        sample_bits=(packed >> SAMPLE_COUNT_BITS & 31) + 1,
        samples=packed & (1 << SAMPLE_COUNT_BITS) - 1,
        audio_begin=position,
    )
    return info if is_last and info.max_block_samples and info.rate_hz else None


def header_with_samples(head: bytes, samples: int) -> bytes:
    """Return a FLAC header that states another number of samples, and no checksum of these."""
    begin = STREAM_INFO_BEGIN + 10
    (packed,) = struct.unpack_from(">Q", head, begin)
    packed = packed >> SAMPLE_COUNT_BITS << SAMPLE_COUNT_BITS | samples & (1 << SAMPLE_COUNT_BITS) - 1
    return head[:begin] + struct.pack(">Q16x", packed) + head[begin + 24 :]


def find_last_frame(file: SeekableFile, end: int, info: StreamInfo) -> Frame | None:
    """Return the last frame that begins before a position, whatever follows it; None if there is none."""
    if end <= info.audio_begin:
        return None
    begin = max(info.audio_begin, end - info.tail_bytes)
    if frame := _last_frame(read_at(file, begin, end - begin), begin, info):
        return frame
    samples = 1 << SAMPLE_COUNT_BITS

    def probe(low: int, high: int) -> tuple[int, int] | None:
        data = read_at(file, low, min(high - low, info.tail_bytes))
        frame = next(_frames(data, low, info), None)
        return None if frame is None else (frame.position, frame.begin)

    position = find_mark(
        probe, samples, begin=info.audio_begin, end=begin, first=0, last=samples, tolerance=0
    )
    data = read_at(file, position, min(MIN_RANGE_BYTES + info.tail_bytes, end - position))
    return _last_frame(data, position, info)


def _last_frame(data: bytes, position: int, info: StreamInfo) -> Frame | None:
    """Return the last frame that ends as stated or continues another one, or the last one if none does."""
    following: list[Frame] = []
    for match in reversed(list(SYNC.finditer(data))):
        frame = _frame(data, match.start(), position, info)
        if frame is None:
            continue
        if frame.end == info.samples:
            return frame
        if continued := [other for other in following if other.begin == frame.end]:
            return continued[0]
        following = [*following[:MAX_CANDIDATES], frame]
    return following[0] if following else None


def _frames(data: bytes, position: int, info: StreamInfo) -> Iterator[Frame]:
    """Yield the frames whose headers lie in some data."""
    for match in SYNC.finditer(data):
        if frame := _frame(data, match.start(), position, info):
            yield frame


def _frame(data: bytes, offset: int, position: int, info: StreamInfo) -> Frame | None:
    """Return the frame at an offset; of random bytes, one per 100 MB looks like one."""
    samples = _header_samples(data[offset : offset + MAX_HEADER_BYTES], info)
    return Frame(position + offset, *samples) if samples else None


def _header_samples(header: bytes, info: StreamInfo) -> tuple[int, int] | None:
    """Return the first and last samples of a frame, or None if it is not one of the stream."""
    if len(header) < 6:
        return None
    block, rate, channels, bits = header[2] >> 4, header[2] & 15, header[3] >> 4, header[3] >> 1 & 7
    if (
        block == 0
        or rate >= len(RATES_HZ)
        or RATES_HZ[rate] not in (None, info.rate_hz)
        or (channels + 1 if channels < 8 else 2) != info.channels
        or channels > 10
        or SAMPLE_BITS[bits] not in (None, info.sample_bits)
        or header[3] & 1
    ):
        return None
    number, offset = coded_number(header)
    size_bytes = {BLOCK_SIZE_8: 1, BLOCK_SIZE_16: 2}.get(block, 0)
    rate_bytes = 0 if rate < RATE_8 else 1 if rate == RATE_8 else 2
    end = offset + size_bytes + rate_bytes
    if offset == 0 or end >= len(header) or _crc8(header[:end]) != header[end]:
        return None
    stored_size = int.from_bytes(header[offset : offset + size_bytes], "big") + 1
    size = stored_size if size_bytes else BLOCK_SIZES[block]
    if size > info.max_block_samples:
        return None
    first = number if header[1] & 1 else number * info.max_block_samples
    return first, first + size


def coded_number(header: bytes) -> tuple[int, int]:
    """Return the number, coded in the manner of UTF-8, and the offset after it; 0, 0 if it is invalid."""
    ones = 8 - (header[4] ^ 0xFF).bit_length()
    tail = header[5 : 4 + max(1, ones)]
    if ones in (1, 8) or any(byte & 0xC0 != 0x80 for byte in tail):
        return 0, 0
    number = header[4] & 0x7F >> ones
    for byte in tail:
        number = number << 6 | byte & 0x3F
    return number, 5 + len(tail)


def _crc8(data: bytes) -> int:
    """Compute the checksum of frame headers."""
    crc = 0
    for byte in data:
        crc = CRC8[crc ^ byte]
    return crc
