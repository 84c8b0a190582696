"""Ogg files that no encoder at hand writes: chained, multiplexed and with FLAC."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from itertools import zip_longest

from tests.fuzz.checksums import PAGE_HEADER_BYTES, ogg_page, ogg_pages
from tests.fuzz.mutations import flac_frames


def with_serial(content: bytes, serial: int) -> bytes:
    """Replace the serial number, which the encoder draws at random."""
    return b"".join(changed_page(page, serial=serial) for page in ogg_pages(content))


def changed_page(
    page: bytes, *, flags: int | None = None, granule: int | None = None, serial: int | None = None
) -> bytes:
    """Return a page with other numbers in its header."""
    first = PAGE_HEADER_BYTES + page[26]
    header = bytearray(page[:22])
    if flags is not None:
        header[5] = flags
    if granule is not None:
        struct.pack_into("<q", header, 6, granule)
    if serial is not None:
        struct.pack_into("<I", header, 14, serial)
    return ogg_page(bytes(header), page[PAGE_HEADER_BYTES:first], page[first:])


def multiplexed(first: bytes, second: bytes) -> bytes:
    """Interleave the pages of two streams, as in files with several tracks."""
    pairs = zip_longest(ogg_pages(first), ogg_pages(second), fillvalue=b"")
    return b"".join(page for pair in pairs for page in pair)


def ogg_packets(content: bytes) -> list[bytes]:
    """Return the packets of an undamaged file with one stream."""
    packets, packet = [], b""
    for page in ogg_pages(content):
        offset = PAGE_HEADER_BYTES + page[26]
        for size in page[PAGE_HEADER_BYTES:offset]:
            packet += page[offset : offset + size]
            offset += size
            if size < 255:
                packets.append(packet)
                packet = b""
    return packets


def ogg_file(packets: Iterable[tuple[bytes, int]], serial: int = 1, packets_per_page: int = 1) -> bytes:
    """Write packets and the granule positions of their ends as a stream; the first has a page of its own."""
    return b"".join(_pages(list(packets), serial, packets_per_page))


def flac_in_ogg(
    flac: bytes,
    serial: int = 1,
    *,
    former_mapping: bool = False,
    first_sample: int = 0,
    packets_per_page: int = 1,
) -> bytes:
    """Wrap an undamaged FLAC file of one block size."""
    block_size, total = (
        struct.unpack_from(">H", flac, 8)[0],
        int.from_bytes(flac[21:26], "big") & (1 << 36) - 1,
    )
    starts: list[int] = []
    for start in flac_frames(
        flac
    ):  # a checksum of 8 bits can be right by chance, the number of the frame hardly
        if flac.startswith(_coded(len(starts)), start + 4):
            starts.append(start)
    comment = b"\x84\x00\x00\x08" + bytes(8)
    stream_info = flac[4:5].replace(b"\x80", b"\x00") + flac[5:42]
    if former_mapping:
        packets = [(b"fLaC", 0), (stream_info, 0), (comment, 0)]
    else:
        packets = [(b"\x7fFLAC\x01\x00\x00\x01fLaC" + stream_info, 0), (comment, 0)]
    for number, (begin, end) in enumerate(zip(starts, [*starts[1:], len(flac)], strict=True), 1):
        packets.append((flac[begin:end], first_sample + min(total, number * block_size)))
    return ogg_file(packets, serial, packets_per_page)


def _pages(packets: list[tuple[bytes, int]], serial: int, packets_per_page: int) -> Iterator[bytes]:
    groups = [packets[:1]]
    groups += [packets[i : i + packets_per_page] for i in range(1, len(packets), packets_per_page)]
    sequence = 0
    for number, group in enumerate(groups):
        lacing = b"".join(b"\xff" * (len(data) // 255) + bytes([len(data) % 255]) for data, _ in group)
        body = b"".join(data for data, _ in group)
        for begin in range(0, len(lacing), 255):
            segments, is_last = lacing[begin : begin + 255], begin + 255 >= len(lacing)
            flags = (begin > 0 and lacing[begin - 1] == 255) | (number == 0) << 1
            flags |= (number == len(groups) - 1 and is_last) << 2
            granule = group[-1][1] if is_last else -1
            header = struct.pack("<5sBqII", b"OggS\0", flags, granule, serial, sequence)
            yield ogg_page(header, segments, body[: sum(segments)])
            body, sequence = body[sum(segments) :], sequence + 1


def _coded(frame_number: int) -> bytes:
    """Return the number as a FLAC header has it, in the manner of UTF-8."""
    return chr(frame_number).encode()
