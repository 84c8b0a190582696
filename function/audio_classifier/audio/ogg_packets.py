"""Take packets out of Ogg pages, and write pages of packets (RFC 3533)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from audio_classifier.audio.ogg_pages import CONTINUED, MAX_SEGMENTS, NO_GRANULE, Page, build_page

MAX_PACKET_BYTES: Final = 1 << 24  # the largest frame or metadata block of FLAC


def read_packets(pages: Iterable[Page], *, partial: bytes | None = None) -> Iterator[tuple[bytes, Page]]:
    """Yield the packets of the pages of one stream, each with the page on which it ends.

    Parameters
    ----------
    pages
        The pages in their order; a packet is left out if a page of it is missing.
    partial
        The beginning of a packet that continues on the first page; without it, that packet is left out.
    """
    unfinished, sequence = partial, -1
    for page in pages:
        if not page.flags & CONTINUED or (sequence >= 0 and page.sequence != sequence + 1):
            unfinished = None
        packet = bytearray(unfinished or b"")
        incomplete = bool(page.flags & CONTINUED) and unfinished is None
        offset = 0
        for size in page.lacing:
            packet += page.body[offset : offset + size]
            offset += size
            if size < MAX_SEGMENTS:
                if not incomplete:
                    yield bytes(packet), page
                packet, incomplete = bytearray(), False
        is_open = page.lacing.endswith(b"\xff") and not incomplete and len(packet) <= MAX_PACKET_BYTES
        unfinished, sequence = bytes(packet) if is_open else None, page.sequence


def unfinished_packet(page: Page) -> bytes | None:
    """Return the beginning of the packet that begins on a page and continues on the next one, if any."""
    whole = max((number for number, size in enumerate(page.lacing, 1) if size < MAX_SEGMENTS), default=0)
    if whole == len(page.lacing) or (whole == 0 and page.flags & CONTINUED):
        return None
    return page.body[sum(page.lacing[:whole]) :]


class PageWriter:
    """Write packets as the pages of one stream."""

    def __init__(self, serial: int = 1) -> None:
        self._serial = serial
        self._sequence = 0

    def pages(self, packets: list[bytes], granule: int, flags: int = 0) -> bytes:
        """Return the pages of whole packets.

        Parameters
        ----------
        packets
            Packets of any size.
        granule
            The granule position of the last page; the others have none.
        flags
            `FIRST` or `LAST`.
        """
        lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
        body, written, offset = b"".join(packets), [], 0
        for begin in range(0, len(lacing), MAX_SEGMENTS):
            segments = lacing[begin : begin + MAX_SEGMENTS]
            end = offset + sum(segments)
            is_last = begin + MAX_SEGMENTS >= len(lacing)
            continued = CONTINUED if begin and lacing[begin - 1] == 255 else 0
            written.append(
                build_page(
                    flags | continued,
                    granule if is_last else NO_GRANULE,
                    self._serial,
                    self._sequence,
                    segments,
                    body[offset:end],
                )
            )
            self._sequence += 1
            offset = end
        return b"".join(written)
