"""Checksums of Ogg and FLAC, so that changed files are not refused before they reach a decoder."""

from __future__ import annotations

import zlib
from typing import Final

PAGE_HEADER_BYTES: Final = 27
_REVERSED_BITS: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def ogg_crc32(data: bytes) -> int:
    """Compute Ogg's CRC-32: zlib's polynomial without reversal of bits, inversion or initial value."""
    flipped = data.translate(_REVERSED_BITS)
    # An initial value of all ones in `zlib.crc32` is zero after its inversion; the result is inverted again.
    value = zlib.crc32(flipped, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(value.to_bytes(4, "little").translate(_REVERSED_BITS), "big")


def crc8(data: bytes) -> int:
    """Compute the CRC-8 of a FLAC frame's header."""
    value = 0
    for byte in data:
        value = _CRC8[value ^ byte]
    return value


def crc16(data: bytes) -> int:
    """Compute the CRC-16 of a FLAC frame."""
    value = 0
    for byte in data:
        value = (value << 8 & 0xFFFF) ^ _CRC16[value >> 8 ^ byte]
    return value


def ogg_page(header: bytes, lacing: bytes, body: bytes) -> bytes:
    """Assemble a page from the first 22 bytes of its header, with a correct checksum."""
    start, end = header[:22], bytes([len(lacing)]) + lacing + body
    return start + ogg_crc32(start + bytes(4) + end).to_bytes(4, "little") + end


def ogg_pages(content: bytes) -> list[bytes]:
    """Split an undamaged Ogg file into its pages."""
    pages, position = [], 0
    while content.startswith(b"OggS", position) and position + PAGE_HEADER_BYTES <= len(content):
        first = position + PAGE_HEADER_BYTES
        lacing = content[first : first + content[position + 26]]
        end = first + len(lacing) + sum(lacing)
        pages.append(content[position:end])
        position = end
    return pages


def repair_ogg(page: bytes) -> bytes:
    """Return a page with a correct checksum."""
    count = page[26]
    first = PAGE_HEADER_BYTES + count
    return ogg_page(page, page[PAGE_HEADER_BYTES:first], page[first:])


def _table(polynomial: int, bits: int) -> list[int]:
    table = []
    for byte in range(256):
        value = byte << bits - 8
        for _ in range(8):
            value = (value << 1) ^ (polynomial if value >> bits - 1 else 0)
            value &= (1 << bits) - 1
        table.append(value)
    return table


_CRC8: Final = _table(0x07, 8)
_CRC16: Final = _table(0x8005, 16)
