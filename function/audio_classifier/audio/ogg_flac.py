"""Read FLAC in Ogg, in the present mapping and in that of encoders before 2005.

Source: https://xiph.org/flac/ogg_mapping.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from audio_classifier.audio.flac_frames import (
    LAST_BLOCK,
    MARK,
    MAX_HEADER_BYTES,
    STREAM_INFO_BYTES,
    coded_number,
    header_with_samples,
)
from audio_classifier.audio.generated import GeneratedFile
from audio_classifier.audio.ogg_packets import read_packets, unfinished_packet
from audio_classifier.audio.ogg_pages import MAX_DAMAGED_BYTES, Page, find_page, read_pages
from audio_classifier.audio.source import SeekableFile
from audio_classifier.errors import DamagedAudioError, UnreadableAudioError

MAPPING_MARK: Final = b"\x7fFLAC"
FLAC_MARKS: Final = (MAPPING_MARK, MARK)
MAPPING_BYTES: Final = 9  # before the native header: mark, version, number of header packets
FRAME_SYNC: Final = (b"\xff\xf8", b"\xff\xf9")  # fixed and variable block size


class OggFlac:
    """The frames of a FLAC stream in Ogg as the native FLAC files from any frame on.

    Parameters
    ----------
    file
        The Ogg file.
    begin, end
        The bytes of the stream's link, from its first page on.
    serial
        The stream's number.
    last_granule
        The number of samples at the end, if it is known.

    Raises
    ------
    UnreadableAudioError, DamagedAudioError
        If there is no header or no frame.
    """

    format = "FLAC"

    def __init__(
        self, file: SeekableFile, begin: int, end: int, serial: int, last_granule: int | None = None
    ) -> None:
        self._file, self._end, self._serial = file, end, serial
        packets = read_packets(self._pages(begin))
        self._header = _native_header(packets)
        self._audio_begin, frame = _first_frame(packets, begin)
        self._first_sample = _frame_position(frame, self._header)
        samples = None if last_granule is None else last_granule - self._first_sample
        self.frames = samples if samples and samples > 0 else None

    def open_at(self, frame: int) -> tuple[int, SeekableFile]:
        """Return a native FLAC file, and the number of its first frame, which is at most ``frame``."""
        page = None
        if frame > 0:
            granule = self._first_sample + frame
            last = self._first_sample + (self.frames or 0)
            page = find_page(self._file, self._audio_begin, self._end, self._serial, granule, last)
        if page is None or page.granule < self._first_sample:
            return 0, GeneratedFile(self._content(read_packets(self._pages(self._audio_begin))))
        following = read_packets(self._pages(page.end), partial=unfinished_packet(page))
        return page.granule - self._first_sample, GeneratedFile(self._content(following))

    def _pages(self, begin: int) -> Iterator[Page]:
        return (page for page in read_pages(self._file, begin, self._end) if page.serial == self._serial)

    def _content(self, packets: Iterable[tuple[bytes, Page]]) -> Iterator[bytes]:
        yield self._header
        for packet, _ in packets:
            if packet.startswith(FRAME_SYNC):  # metadata would be read again after a seek
                yield packet


def _native_header(packets: Iterator[tuple[bytes, Page]]) -> bytes:
    """Return the native header with STREAMINFO as its only metadata block, of unknown length."""
    first, _ = next(packets, (b"", None))
    if first.startswith(MAPPING_MARK):
        header = first[MAPPING_BYTES:]
    else:  # the former mapping has each metadata block in a packet of its own
        header = first + next(packets, (b"", None))[0]
    block = header[len(MARK) :]
    if not header.startswith(MARK) or len(block) < 4 + STREAM_INFO_BYTES or block[0] & 0x7F:
        raise UnreadableAudioError("not a readable audio file: the FLAC stream in Ogg has no header")
    only_block = bytes((LAST_BLOCK, 0, 0, STREAM_INFO_BYTES)) + block[4 : 4 + STREAM_INFO_BYTES]
    return header_with_samples(MARK + only_block, 0)


def _first_frame(packets: Iterator[tuple[bytes, Page]], begin: int) -> tuple[int, bytes]:
    """Return the first frame, and the position of a page before or on which it begins."""
    position = begin
    for packet, page in packets:
        if packet.startswith(FRAME_SYNC):
            return position, packet
        position = page.begin
        if page.end - begin > MAX_DAMAGED_BYTES:
            break
    raise DamagedAudioError("the FLAC stream in Ogg contains no audio")


def _frame_position(frame: bytes, header: bytes) -> int:
    """Return the number of a frame's first sample, which its header states."""
    number, _ = coded_number(frame.ljust(MAX_HEADER_BYTES, b"\0"))
    block_size = int.from_bytes(header[8:10], "big")  # the minimum, which is that of all frames but the last
    return number if frame[1] & 1 else number * block_size
