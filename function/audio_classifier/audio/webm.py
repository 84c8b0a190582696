"""Decode Opus and Vorbis in WebM and Matroska files, by writing the packets as Ogg pages for libsndfile.

Browsers record live, so sizes, lengths and indexes may be missing: positions are found by searching for
clusters.  Gaps between the times of blocks are not filled: reading on joins the packets on both sides.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import chain, islice
from typing import Final

from audio_classifier.audio.ebml import EbmlReader
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
from audio_classifier.audio.ogg_packets import PageWriter
from audio_classifier.audio.ogg_pages import FIRST, LAST, NO_GRANULE
from audio_classifier.audio.packet_stream import PacketStream
from audio_classifier.audio.search import find_mark
from audio_classifier.audio.sndfile import SampleType
from audio_classifier.audio.source import SeekableFile, size_of
from audio_classifier.audio.streams import FrameStream
from audio_classifier.audio.webm_codecs import Codec, codec_of
from audio_classifier.errors import DamagedAudioError

NANOSECONDS: Final = 1_000_000_000
END_REACH_BYTES: Final = 64 << 10  # where the last cluster is searched first
SEARCH_TOLERANCE_S: Final = 5  # which is read in the order of the file
PAGE_PACKETS: Final = 50
PAGE_BYTES: Final = 16 << 10
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
    return PacketStream(WebmPackets(file, track, codec_of(track)), dtype=dtype)


class WebmPackets:
    """The packets of a track as Ogg files from any frame on.

    Parameters
    ----------
    file
        The WebM or Matroska file.
    track
        The track.
    codec
        The track's codec.

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

    def __init__(self, file: SeekableFile, track: Track, codec: Codec) -> None:
        self._file, self._track, self._codec = file, track, codec
        self._size = size_of(file)
        self._unit = track.scale_ns * codec.rate_hz / NANOSECONDS  # of times, in frames
        first = list(islice(self._blocks(track.clusters_begin), 2 if codec.is_overlapped else 1))
        if not first:
            raise DamagedAudioError("the WebM or Matroska file contains no audio")
        self._first_time = first[-1].time  # of the block that decodes to the first frame
        self.frames: int | None = self._end()

    def open_at(self, frame: int) -> tuple[int, SeekableFile]:
        """Return an Ogg file, and the number of its first frame, which is at most ``frame``."""
        target = frame - self._codec.preroll
        for margin_s in SEARCH_MARGINS_S if target > 0 else ():
            blocks = self._blocks(self._find_cluster(target - margin_s * self._codec.rate_hz))
            block = next(blocks, None)
            if block is None or self._frame(block) > target:
                continue
            for following in blocks:
                if self._frame(following) > target:
                    first = following if self._codec.is_overlapped else block
                    return self._frame(first), self._ogg(chain((block, following), blocks), is_begin=False)
                block = following
            break
        return 0, self._ogg(self._blocks(self._track.clusters_begin), is_begin=True)

    def _blocks(self, position: int) -> Iterator[Block]:
        return read_blocks(self._file, self._track, position)

    def _frame(self, block: Block) -> int:
        """Return the first frame of a block.

        Times are rounded, so the frame is a multiple of the packets' duration if that is known.
        """
        elapsed = (block.time - self._first_time) * self._unit
        duration = self._codec.duration(block.packets[0])
        return (round(elapsed / duration) * duration if duration else round(elapsed)) - self._codec.pre_skip

    def _block_end(self, block: Block) -> int:
        return self._frame(block) + sum(map(self._codec.duration, block.packets)) - self._discarded(block)

    def _discarded(self, block: Block) -> int:
        """Return the frames that are cut from the end of a block."""
        return max(0, block.discard_ns) * self._codec.rate_hz // NANOSECONDS

    def _ogg(self, blocks: Iterator[Block], *, is_begin: bool) -> GeneratedFile:
        end = PageWriter().pages([b""], END_GRANULE, LAST)
        return GeneratedFile(self._pages(blocks, is_begin), end.rjust(END_BYTES, b"\0"))

    def _pages(self, blocks: Iterator[Block], is_begin: bool) -> Iterator[bytes]:
        writer = PageWriter()
        head, *headers = self._codec.headers(is_begin=is_begin)
        yield writer.pages([head], 0, FIRST) + writer.pages(headers, 0)
        packets: list[bytes] = []
        granule, discarded = 0, 0
        for block in blocks:
            if len(packets) >= PAGE_PACKETS or sum(map(len, packets)) > PAGE_BYTES:
                yield writer.pages(packets, granule or NO_GRANULE)
                packets = []
            packets += block.packets
            granule += sum(map(self._codec.duration, block.packets))
            discarded = self._discarded(block)
        yield writer.pages(packets, max(0, granule - discarded) or NO_GRANULE, LAST)

    def _find_cluster(self, frame: int) -> int:
        """Return the position of a cluster that begins before a frame, mostly closely."""
        return find_mark(
            self._next_cluster,
            self._first_time + frame / self._unit,
            begin=self._track.clusters_begin,
            end=self._size,
            first=self._first_time,
            last=self._first_time + round((self.frames or 0) / self._unit),
            tolerance=SEARCH_TOLERANCE_S * self._codec.rate_hz / self._unit,
        )

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
        begin, reach = self._track.clusters_begin, END_REACH_BYTES
        while True:
            start = max(begin, self._size - reach)
            cluster = self._next_cluster(start, self._size)
            last = deque(self._blocks(cluster[0]) if cluster else (), maxlen=1)
            if last:
                end = self._block_end(last[0])
                return end if end > 0 else None
            if start == begin or reach >= MAX_FOREIGN_BYTES:
                return None
            reach *= 4
