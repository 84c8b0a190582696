"""The codecs in WebM that libsndfile decodes in Ogg: durations of packets, and headers."""

from __future__ import annotations

import struct
from typing import Final, Protocol

from audio_classifier.audio.matroska import Track, laced_packets
from audio_classifier.errors import UnreadableAudioError, UnsupportedFormatError

OPUS_RATE_HZ: Final = 48_000  # of all positions, whatever rate the input had
OPUS_HEAD_BYTES: Final = 19
OPUS_TAGS: Final = b"OpusTags" + bytes(8)  # no vendor, no comments
# Frames decoded before the target of a seek; after RFC 7845's 3840, errors of 0.04 were measured.
OPUS_PREROLL: Final = 48_000
MAX_OPUS_DURATION: Final = 5760  # 120 ms
SILK_DURATIONS: Final = (480, 960, 1920, 2880)
HYBRID_DURATIONS: Final = (480, 960)
CELT_DURATIONS: Final = (120, 240, 480, 960)
VORBIS_HEADERS: Final = 3
VORBIS_MARK: Final = b"\x01vorbis"
VORBIS_HEAD_BYTES: Final = 30
VORBIS_PREROLL_S: Final = 0.1  # more than two blocks, of which each overlaps the next one


class Codec(Protocol):
    """What is needed to write a track as an Ogg file.

    Attributes
    ----------
    rate_hz
        The sample rate.
    pre_skip
        The frames to discard at the beginning.
    preroll
        The frames to decode before the target of a seek.
    is_overlapped
        Whether the first packet after a seek decodes to nothing.
    """

    rate_hz: int
    pre_skip: int
    preroll: int
    is_overlapped: bool

    def duration(self, packet: bytes) -> int:
        """Return the frames of a packet; 0 if they are unknown."""

    def headers(self, *, is_begin: bool) -> list[bytes]:
        """Return the packets before the audio, which begins at the beginning or elsewhere."""


def codec_of(track: Track) -> Codec:
    """Return the codec of a track.

    Raises
    ------
    UnsupportedFormatError
        If it is neither Opus nor Vorbis.
    UnreadableAudioError
        If its headers are damaged.
    """
    if track.codec == "A_OPUS":
        return Opus(track.private)
    if track.codec == "A_VORBIS":
        return Vorbis(track.private)
    raise UnsupportedFormatError(
        f"not a readable audio file: the WebM or Matroska file contains {track.codec or 'an unnamed codec'}, "
        "which cannot be decoded"
    )


class Opus:
    """Opus (RFC 6716), whose headers are those of Ogg (RFC 7845)."""

    rate_hz = OPUS_RATE_HZ
    preroll = OPUS_PREROLL
    is_overlapped = False

    def __init__(self, head: bytes) -> None:
        if not head.startswith(b"OpusHead") or len(head) < OPUS_HEAD_BYTES:
            raise UnreadableAudioError("not a readable audio file: its Opus track has no header")
        self._head = head
        self.pre_skip = int.from_bytes(head[10:12], "little")

    def duration(self, packet: bytes) -> int:
        """Return the duration that the first byte states, or the first two bytes."""
        config, code = packet[0] >> 3, packet[0] & 3
        if config < 12:
            duration = SILK_DURATIONS[config & 3]
        elif config < 16:
            duration = HYBRID_DURATIONS[config & 1]
        else:
            duration = CELT_DURATIONS[config & 3]
        if code == 3:
            duration *= packet[1] & 0x3F if len(packet) > 1 else 0
        elif code > 0:
            duration *= 2
        return duration if duration <= MAX_OPUS_DURATION else 0

    def headers(self, *, is_begin: bool) -> list[bytes]:
        """Return the headers with a rate of 48 kHz, at which libsndfile then decodes."""
        start = struct.pack("<HI", self.pre_skip if is_begin else 0, OPUS_RATE_HZ)
        return [self._head[:10] + start + self._head[16:], OPUS_TAGS]


class Vorbis:
    """Vorbis, whose packets do not state their duration: seeks are as exact as the times of blocks."""

    pre_skip = 0
    is_overlapped = True

    def __init__(self, private: bytes) -> None:
        self._headers = laced_packets(private, lacing=1)
        head = self._headers[0] if len(self._headers) == VORBIS_HEADERS else b""
        if not head.startswith(VORBIS_MARK) or len(head) < VORBIS_HEAD_BYTES:
            raise UnreadableAudioError("not a readable audio file: its Vorbis track has no header")
        self.rate_hz = max(1, int.from_bytes(head[12:16], "little"))
        self.preroll = int(VORBIS_PREROLL_S * self.rate_hz)

    def duration(self, _packet: bytes) -> int:
        return 0

    def headers(self, *, is_begin: bool) -> list[bytes]:  # noqa: ARG002
        return self._headers
