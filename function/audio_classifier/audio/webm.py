"""Decode Opus and Vorbis in WebM and Matroska files, by writing the packets as Ogg pages for libsndfile.

Browsers record live, so sizes, lengths and indexes may be missing: positions are found by bisection for
clusters.  Gaps between the times of blocks are not filled: reading on joins the packets on both sides.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import chain
from typing import Final

from audio_classifier.audio.ebml import PIECE_BYTES, EbmlReader
from audio_classifier.audio.generated import GeneratedFile
from audio_classifier.audio.matroska import (
    CLUSTER_MARK,
    MAX_FOREIGN_BYTES,
    Block,
    Track,
    cluster_time,
    read_blocks,
    read_track,
)
from audio_classifier.audio.ogg_pages import FIRST, LAST, PageWriter
from audio_classifier.audio.opus import (
    HEAD_BYTES,
    HEAD_MARK,
    PREROLL_SAMPLES,
    RATE_HZ,
    TAGS,
    adapted_head,
    packet_samples,
    pre_skip,
)
from audio_classifier.audio.packet_stream import PacketStream
from audio_classifier.audio.sndfile import SampleType
from audio_classifier.audio.source import SeekableFile, read_at, size_of
from audio_classifier.audio.streams import FrameStream
from audio_classifier.errors import DamagedAudioError, UnreadableAudioError, UnsupportedFormatError

NANOSECONDS: Final = 1_000_000_000
PAGE_PACKETS: Final = 50
MAX_CANDIDATES: Final = 1000  # marks of clusters, which can also occur in data
SEARCH_MARGINS_S: Final = (1, 10)  # before the target: a cluster need not begin with a block of the track
# libsndfile takes the length from the last 64 KiB; reading ends earlier, with the last packet.
END_BYTES: Final = 64 << 10
END_GRANULE: Final = 1 << 40


def open_webm(file: SeekableFile, *, dtype: SampleType = "float32") -> FrameStream:
    """Open the first audio track of a WebM or Matroska file.

    Raises
    ------
    UnsupportedFormatError
        If the codec is neither Opus nor Vorbis; the message has the codec's id.
    UnreadableAudioError, UnsupportedAudioError, EmptyAudioError, DamagedAudioError
        If the file cannot be used.
    """
    track = read_track(file)
    if track.codec == "A_OPUS":
        return PacketStream(WebmOpus(file, track), dtype=dtype)
    raise UnsupportedFormatError(
        f"not a readable audio file: the WebM or Matroska file contains {track.codec or 'no codec id'}, "
        "which cannot be decoded"
    )


class WebmPackets(ABC):
    """The packets of a track as Ogg files from any frame on.

    Parameters
    ----------
    file
        The WebM or Matroska file.
    track
        The track.

    Attributes
    ----------
    frames
        The frames up to the end of the last block.

    Raises
    ------
    DamagedAudioError
        If the track has no blocks.
    """

    format = "WEBM"

    def __init__(self, file: SeekableFile, track: Track) -> None:
        self._file, self._track = file, track
        self._size = size_of(file)
        first = next(self._blocks(track.clusters_begin), None)
        if first is None:
            raise DamagedAudioError("the WebM or Matroska file contains no audio")
        self._first_time = first.time
        self.frames: int | None = self._end()

    def open_at(self, frame: int) -> tuple[int, SeekableFile]:
        """Return an Ogg file, and the number of its first frame, which is at most ``frame``."""
        target = frame - self._lead
        for margin_s in SEARCH_MARGINS_S if target > 0 else ():
            blocks = self._blocks(self._find_cluster(target - margin_s * self._rate_hz))
            previous = next(blocks, None)
            if previous is None or self._frame(previous) > target:
                continue
            for block in blocks:
                if self._frame(block) > target:
                    return self._first_frame(previous, block), self._ogg(
                        chain((previous, block), blocks), False
                    )
                previous = block
            break
        return 0, self._ogg(self._blocks(self._track.clusters_begin), True)

    @property
    @abstractmethod
    def _rate_hz(self) -> int:
        """The rate of frames."""

    @property
    @abstractmethod
    def _lead(self) -> int:
        """The frames to decode before the target of a seek."""

    @abstractmethod
    def _frame(self, block: Block) -> int:
        """Return the first frame of a block."""

    @abstractmethod
    def _block_end(self, block: Block) -> int:
        """Return the frame after the last one of a block."""

    @abstractmethod
    def _first_frame(self, block: Block, following: Block) -> int:
        """Return the first frame that the decoder returns if it begins with a block."""

    @abstractmethod
    def _headers(self, writer: PageWriter, is_begin: bool) -> bytes:
        """Return the pages before the audio; a seek leads to another place than the beginning."""

    @abstractmethod
    def _samples(self, packet: bytes) -> int:
        """Return the duration of a packet in the granule positions of Ogg."""

    def _blocks(self, position: int) -> Iterator[Block]:
        return read_blocks(self._file, self._track, position)

    def _elapsed(self, block: Block) -> float:
        """Return the time of a block after the first one, in frames."""
        return (block.time - self._first_time) * self._track.scale_ns * self._rate_hz / NANOSECONDS

    def _ogg(self, blocks: Iterator[Block], is_begin: bool) -> GeneratedFile:
        writer = PageWriter()
        end = PageWriter().pages([b""], END_GRANULE, LAST)
        return GeneratedFile(self._pages(writer, blocks, is_begin), end.rjust(END_BYTES, b"\0"))

    def _pages(self, writer: PageWriter, blocks: Iterator[Block], is_begin: bool) -> Iterator[bytes]:
        yield self._headers(writer, is_begin)
        packets: list[bytes] = []
        granule, discard_ns = 0, 0
        for block in blocks:
            if len(packets) >= PAGE_PACKETS:
                yield writer.pages(packets, granule)
                packets = []
            packets += block.packets
            granule += sum(map(self._samples, block.packets))
            discard_ns = block.discard_ns
        discarded = min(max(0, discard_ns) * self._rate_hz // NANOSECONDS, granule)
        yield writer.pages(packets, granule - discarded, LAST)

    def _find_cluster(self, frame: int) -> int:
        """Bisect for the position of the last cluster that begins before a frame."""
        low, high = self._track.clusters_begin, self._size
        found = low
        scale = self._track.scale_ns * self._rate_hz / NANOSECONDS
        while high - low > PIECE_BYTES:
            middle = (low + high) // 2
            cluster = self._next_cluster(middle, high)
            if cluster is None or (cluster[1] - self._first_time) * scale > frame:
                high = middle
            else:
                found, low = cluster[0], cluster[0] + 1
        while (cluster := self._next_cluster(low, high)) is not None:
            if (cluster[1] - self._first_time) * scale > frame:
                break
            found, low = cluster[0], cluster[0] + 1
        return found

    def _next_cluster(self, begin: int, end: int) -> tuple[int, int] | None:
        """Return the position and time of the first cluster that begins in ``[begin, end)``."""
        for _ in range(MAX_CANDIDATES):
            reader = EbmlReader(self._file, begin)
            if not reader.find(CLUSTER_MARK, min(end - begin, MAX_FOREIGN_BYTES)):
                return None
            position = reader.position
            time = cluster_time(reader)
            if time is not None:
                return position, time
            begin = position + 1
        return None

    def _end(self) -> int | None:
        """Return the frame after the last block, which is found from the end of the file."""
        begin, reach = self._track.clusters_begin, PIECE_BYTES
        while True:
            start = max(begin, self._size - reach)
            data = read_at(self._file, start, self._size - start)
            offset = len(data)
            for _ in range(MAX_CANDIDATES):
                offset = data.rfind(CLUSTER_MARK, 0, offset)
                if offset < 0:
                    break
                if cluster_time(EbmlReader(self._file, start + offset)) is None:
                    continue
                last = None
                for last in self._blocks(start + offset):
                    pass
                if last is not None:
                    return self._block_end(last)
            if start == begin or reach >= MAX_FOREIGN_BYTES:
                return None
            reach *= 8


class WebmOpus(WebmPackets):
    """Opus, whose packets state their duration."""

    def __init__(self, file: SeekableFile, track: Track) -> None:
        self._head = track.private
        if not self._head.startswith(HEAD_MARK) or len(self._head) < HEAD_BYTES:
            raise UnreadableAudioError("not a readable audio file: the Opus track has no header")
        super().__init__(file, track)

    @property
    def _rate_hz(self) -> int:
        return RATE_HZ

    @property
    def _lead(self) -> int:
        return PREROLL_SAMPLES

    def _frame(self, block: Block) -> int:
        return self._sample(block) - pre_skip(self._head)

    def _block_end(self, block: Block) -> int:
        discarded = max(0, block.discard_ns) * RATE_HZ // NANOSECONDS
        return self._frame(block) + sum(map(packet_samples, block.packets)) - discarded

    def _first_frame(self, block: Block, following: Block) -> int:
        return self._frame(block)

    def _sample(self, block: Block) -> int:
        """Return the first sample of a block; times are rounded, so a multiple of the packets' duration."""
        samples = packet_samples(block.packets[0])
        elapsed = self._elapsed(block)
        return round(elapsed / samples) * samples if samples else round(elapsed)

    def _headers(self, writer: PageWriter, is_begin: bool) -> bytes:
        head = adapted_head(self._head, skipped=pre_skip(self._head) if is_begin else 0)
        return writer.pages([head], 0, FIRST) + writer.pages([TAGS], 0)

    def _samples(self, packet: bytes) -> int:
        return packet_samples(packet)
