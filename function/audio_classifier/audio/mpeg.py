"""Headers of MPEG audio frames, and the tags before, between and after frames.

Sources: ISO/IEC 11172-3 and 13818-3 (frames), http://gabriel.mp3-tech.org/mp3infotag.html (LAME's tag),
https://id3.org/id3v2.4.0-structure (ID3), https://wiki.hydrogenaudio.org/index.php?title=APEv2_specification.
"""

from __future__ import annotations

import functools
import re
import struct
from dataclasses import dataclass
from typing import Final

HEADER_BYTES: Final = 4
MAX_FRAME_BYTES: Final = 2881  # MPEG-2.5 layer II at 8 kHz and 160 kbit/s
# A header with any version, layer, bit rate and sample rate except the reserved ones and free format.
HEADER: Final = re.compile(rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][\x10-\xeb]", re.DOTALL)
RATES_HZ: Final = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
MPEG_1: Final = 3
# In kbit/s, by MPEG-1 (or 2 and 2.5) and layer; the first rate has index 1.
BIT_RATES_KBPS: Final = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
# Decoding delays the audio by this many samples; the delay in LAME's tag does not include it.
DECODER_DELAY: Final = 529
ID3V1_BYTES: Final = 128
APE_HEADER_BYTES: Final = 32
MAX_LYRICS_BYTES: Final = 5120


@dataclass(frozen=True)
class FrameKind:
    """The properties that all frames of a stream share: MPEG version, layer, sample rate and channels."""

    version: int  # as in the header: 3 for MPEG-1, 2 for MPEG-2, 0 for MPEG-2.5
    layer: int
    rate_hz: int
    channels: int

    @property
    def samples(self) -> int:
        """Samples of a frame, per channel."""
        if self.layer == 1:
            return 384
        return 576 if self.layer == 3 and self.version != MPEG_1 else 1152

    @property
    def slot_bytes(self) -> int:
        """Bytes by which padding lengthens a frame."""
        return 4 if self.layer == 1 else 1

    @property
    def side_bytes(self) -> int:
        """Bytes of the side information, which only layer III has."""
        if self.layer != 3:
            return 0
        if self.version == MPEG_1:
            return 17 if self.channels == 1 else 32
        return 9 if self.channels == 1 else 17

    @property
    def reservoir_bytes(self) -> int:
        """Bytes of earlier frames that a frame may refer to, at most."""
        if self.layer != 3:
            return 0
        return 511 if self.version == MPEG_1 else 255

    @property
    def second_byte(self) -> int:
        """The second byte of the header, without its last bit, which is 0 if there is a checksum."""
        return 0xE0 | self.version << 3 | (4 - self.layer) << 1

    def bit_rate(self, third_byte: int) -> int:
        """Bits per second."""
        return 1000 * BIT_RATES_KBPS[self.version == MPEG_1, self.layer][(third_byte >> 4) - 1]

    def silent_frame(self, bit_rate: int) -> bytes:
        """Return a frame of silence, which has no checksum, and takes nothing from earlier frames."""
        third_byte = next(
            byte for byte in range(256) if self.lengths[byte] and self.bit_rate(byte) == bit_rate
        )
        header = bytes((0xFF, self.second_byte | 1, third_byte, 0xC0 if self.channels == 1 else 0))
        return header.ljust(self.lengths[third_byte], b"\0")

    @functools.cached_property
    def lengths(self) -> tuple[int, ...]:
        """Bytes of a frame by the third byte of its header; 0 where that is not of this kind."""
        return tuple(self._length(third_byte) for third_byte in range(256))

    def _length(self, third_byte: int) -> int:
        rates = RATES_HZ[self.version]
        if not 1 <= third_byte >> 4 <= 14 or (*rates, 0)[third_byte >> 2 & 3] != self.rate_hz:
            return 0
        slots = self.samples // 8 // self.slot_bytes * self.bit_rate(third_byte) // self.rate_hz
        return (slots + (third_byte >> 1 & 1)) * self.slot_bytes


@functools.lru_cache
def _kind(version: int, layer: int, rate: int, mono: bool) -> FrameKind:
    return FrameKind(version, layer, RATES_HZ[version][rate], 1 if mono else 2)


def frame_kind(data: bytes, offset: int = 0) -> FrameKind | None:
    """Return the kind of the frame whose header is at an offset; None for anything else, also free format."""
    if len(data) < offset + HEADER_BYTES or not HEADER.match(data, offset):
        return None
    _, second, third, fourth = data[offset : offset + HEADER_BYTES]
    rate = third >> 2 & 3
    return None if rate == 3 else _kind(second >> 3 & 3, 4 - (second >> 1 & 3), rate, fourth >= 0xC0)


@dataclass(frozen=True, slots=True)
class StreamTag:
    """The first frame of a stream if it holds a tag instead of audio.

    Attributes
    ----------
    is_constant
        Whether the tag states a constant bit rate.
    frames
        Number of the frames that follow, or None.
    size
        Bytes of the stream, including the tag's frame, or None.
    delay
        Decoded samples before the recording, including the decoder's delay.
    padding
        Samples of the last frames after the recording.
    is_verified
        Whether the tag's checksum is right, so that it is still as its encoder wrote it.
    """

    is_constant: bool
    frames: int | None
    size: int | None
    delay: int
    padding: int
    is_verified: bool


def stream_tag(frame: bytes, kind: FrameKind) -> StreamTag | None:
    """Parse the tag of Xing, LAME or Fraunhofer (VBRI) in a frame; return None for a frame of audio.

    libsndfile drops the decoder's delay if Xing's tag states the number of frames, with or without the part
    that LAME added, which states the encoder's delay.
    """
    if kind.layer != 3:
        return None
    if frame[36:40] == b"VBRI" and len(frame) >= 54:
        size, frames = struct.unpack_from(">II", frame, 46)
        return StreamTag(False, frames or None, size or None, 0, 0, is_verified=False)
    offset = tag_offset(kind)
    name = frame[offset : offset + 4]
    if name not in (b"Xing", b"Info") or len(frame) < offset + 8 or any(frame[6:offset]):
        return None
    (flags,) = struct.unpack_from(">I", frame, offset + 4)
    offset += 8
    values: dict[int, int] = {}
    for flag, size in ((1, 4), (2, 4), (4, 100), (8, 4)):  # frames, bytes, table of contents, quality
        if flags & flag:
            values[flag] = int.from_bytes(frame[offset : offset + 4], "big")
            offset += size
    frames, size = values.get(1) or None, values.get(2) or None
    delay, padding, verified = DECODER_DELAY if frames else 0, 0, False
    lame = frame[offset : offset + 36]
    if frames and len(lame) >= 24 and lame[0]:
        delay += lame[21] << 4 | lame[22] >> 4
        padding = (lame[22] & 15) << 8 | lame[23]
        verified = len(lame) == 36 and _crc16(frame[: offset + 34]) == int.from_bytes(lame[34:], "big")
    return StreamTag(name == b"Info", frames, size, delay, padding, is_verified=verified)


def tag_offset(kind: FrameKind) -> int:
    """Return where the name of Xing's tag lies in its frame."""
    return HEADER_BYTES + kind.side_bytes


def _crc16(data: bytes) -> int:
    """Compute CRC-16/ARC."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def metadata_bytes(data: bytes, offset: int = 0) -> int:
    """Return the size of the ID3, APE or Lyrics3 tag at an offset, or 0 if there is none."""
    if data.startswith(b"ID3", offset):
        return _id3v2_bytes(data[offset : offset + 10])
    if data.startswith(b"TAG", offset):
        return ID3V1_BYTES
    if data.startswith(b"APETAGEX", offset) and len(data) >= offset + APE_HEADER_BYTES:
        _, size, _, flags = struct.unpack_from("<IIII", data, offset + 8)
        is_header = flags & 1 << 29
        return APE_HEADER_BYTES + size if is_header else APE_HEADER_BYTES
    if data.startswith(b"LYRICSBEGIN", offset):
        end = re.compile(rb"LYRICS200|LYRICSEND").search(data, offset, offset + MAX_LYRICS_BYTES)
        return end.end() - offset if end else 0
    return 0


def _id3v2_bytes(header: bytes) -> int:
    if len(header) < 10 or any(byte & 0x80 for byte in header[6:10]):
        return 0
    size = 0
    for byte in header[6:10]:
        size = size << 7 | byte
    has_footer = header[5] & 0x10
    return 10 + size + (10 if has_footer else 0)
