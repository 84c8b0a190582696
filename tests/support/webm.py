"""WebM files as browsers and other programs write them."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

UNKNOWN = b"\x01" + b"\xff" * 7
Lacing = Literal["none", "xiph", "fixed", "ebml"]


def element(name: int, content: bytes, *, is_live: bool = False) -> bytes:
    """Return an EBML element; a live one has an unknown size."""
    size = UNKNOWN if is_live else (1 << 56 | len(content)).to_bytes(8, "big")
    return name.to_bytes((name.bit_length() + 7) // 8, "big") + size + content


def number(name: int, value: int) -> bytes:
    return element(name, value.to_bytes(8, "big"))


def track(codec: str, private: bytes, *, track_number: int = 1, kind: int = 2, extra: bytes = b"") -> bytes:
    fields = number(0xD7, track_number) + number(0x83, kind) + element(0x86, codec.encode())
    return element(0xAE, fields + element(0x63A2, private) + extra)


def laced(packets: list[bytes], lacing: Lacing) -> tuple[int, bytes]:
    """Return the flags and the content of a block."""
    body = b"".join(packets)
    count, sizes = bytes([len(packets) - 1]), [len(packet) for packet in packets]
    if lacing == "none":
        return 0, body
    if lacing == "fixed":
        return 4, count + body
    if lacing == "xiph":
        return 2, count + b"".join(
            b"\xff" * (size // 255) + bytes([size % 255]) for size in sizes[:-1]
        ) + body
    differences = [after - before for before, after in pairwise(sizes[:-1])]
    coded = [0x4000 | sizes[0], *(0x4000 | difference + 0x1FFF for difference in differences)]
    return 6, count + b"".join(code.to_bytes(2, "big") for code in coded) + body


@dataclass
class Webm:
    """A file with one audio track, and optionally pictures between its blocks.

    Parameters
    ----------
    packets
        The audio.
    private
        The codec's headers.
    packet_ms
        The duration of a packet.
    is_live
        Whether the sizes of the segment and clusters are unknown.
    picture_bytes
        The size of a picture of a video track before each block; 0 for none.
    discard_ns
        Cut from the end of the last packet.
    """

    packets: list[bytes]
    private: bytes
    codec: str = "A_OPUS"
    packet_ms: float = 20
    first_ms: int = 0
    cluster_ms: int = 1000
    is_live: bool = True
    in_groups: bool = False
    lacing: Lacing = "none"
    laced_packets: int = 1
    picture_bytes: int = 0
    discard_ns: int = 0
    before_clusters: bytes = b""
    doc_type: bytes = b"webm"
    tracks: list[bytes] = field(default_factory=list)

    def content(self) -> bytes:
        video = [track("V_VP8", b"", track_number=2, kind=1)] if self.picture_bytes else []
        tracks = self.tracks or [*video, track(self.codec, self.private)]
        head = element(0x1549A966, number(0x2AD7B1, 1_000_000)) + element(0x1654AE6B, b"".join(tracks))
        header = element(0x1A45DFA3, element(0x4282, self.doc_type))
        content = head + self.before_clusters + b"".join(self._clusters())
        return header + element(0x18538067, content, is_live=self.is_live)

    def _clusters(self) -> list[bytes]:
        clusters: dict[int, bytes] = {}
        for index in range(0, len(self.packets), self.laced_packets):
            time = self.first_ms + round(index * self.packet_ms)
            begin = time // self.cluster_ms * self.cluster_ms
            is_last = index + self.laced_packets >= len(self.packets)
            block = self._block(self.packets[index : index + self.laced_packets], time - begin, is_last)
            if self.picture_bytes:
                picture = b"\x82" + struct.pack(">hB", time - begin, 0) + bytes(self.picture_bytes)
                block = element(0xA3, picture) + block
            clusters[begin] = clusters.get(begin, number(0xE7, begin)) + block
        return [element(0x1F43B675, content, is_live=self.is_live) for content in clusters.values()]

    def _block(self, packets: list[bytes], time_ms: int, is_last: bool) -> bytes:
        flags, body = laced(packets, self.lacing if len(packets) > 1 else "none")
        content = b"\x81" + struct.pack(">hB", time_ms, flags) + body
        if not self.in_groups and not (is_last and self.discard_ns):
            return element(0xA3, content)
        discard = element(0x75A2, struct.pack(">q", self.discard_ns)) if is_last and self.discard_ns else b""
        return element(0xA0, element(0xA1, content) + discard)
