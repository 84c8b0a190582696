"""Cut pieces out of MPEG audio that libsndfile decodes exactly as it decodes the whole.

A frame depends on those before it: layer III takes main data from up to 511 bytes of earlier frames (the bit
reservoir), its transform overlaps the frame before, and the synthesis filter reaches 480 samples back.
"""

from __future__ import annotations

from typing import Final

from audio_classifier.audio.mpeg import HEADER_BYTES, ID3V1_BYTES, MPEG_1, FrameKind, tag_offset

# Frames that must be decoded before a frame.
OVERLAP_FRAMES: Final = 2
# The phase of mpg123's synthesis filter, which affects rounding, returns after this number of frames.
PHASE_FRAMES: Final = 8
CHECKSUM_BYTES: Final = 2
TAG_NAMES: Final = (b"Xing", b"Info")


def max_lead(kind: FrameKind) -> int:
    """Return how many frames a frame can depend on, at most: those of the lowest bit rate."""
    shortest = min(length for length in kind.lengths if length)
    return OVERLAP_FRAMES + -(-kind.reservoir_bytes // (shortest - _overhead_bytes(kind)))


def required_lead(kind: FrameKind, lengths: list[int]) -> int:
    """Return how many of the frames before a frame must be part of a piece.

    Parameters
    ----------
    lengths
        Those of the frames before, in bytes.
    """
    count, missing = 0, kind.reservoir_bytes
    for length in reversed(lengths):
        if count >= OVERLAP_FRAMES:
            if missing <= 0:
                break
            missing -= length - _overhead_bytes(kind)
        count += 1
    return count


def decodable(kind: FrameKind, lengths: list[int], data: bytes, lead: int) -> bytes:
    """Return a file of frames that libsndfile decodes from the first to the last one.

    Frames before the overlap only contribute main data.  They become silent, because mpg123 would report on
    standard error what they lack.

    libsndfile accepts the first frame only if another one follows, so the last frame is repeated, and it
    estimates the number of frames from the length of the first one, so enough zeros follow, also for the tag
    that it looks for at the end.  Neither is to be
    read.  A first frame that looks like a tag, as in the middle of concatenated files, would be dropped, so
    its name is removed.
    """
    content = bytearray(data)
    content += data[-lengths[-1] :]
    content += bytes(ID3V1_BYTES + (len(lengths) + 1) * max(lengths) - len(data))
    if kind.layer == 3:
        offset = 0
        for length in lengths[: max(0, lead - OVERLAP_FRAMES)]:
            _silence(content, offset, kind)
            offset += length
        offset = tag_offset(kind)
        if bytes(content[offset : offset + 4]) in TAG_NAMES:
            content[offset : offset + 4] = bytes(4)
    return bytes(content)


def _silence(content: bytearray, offset: int, kind: FrameKind) -> None:
    """Clear a frame's side information except for the number of bytes that it takes from earlier frames."""
    has_checksum = not content[offset + 1] & 1
    begin = offset + HEADER_BYTES + (CHECKSUM_BYTES if has_checksum else 0)
    kept = content[begin], content[begin + 1] & 0x80 if kind.version == MPEG_1 else 0
    content[begin : begin + kind.side_bytes] = bytes((*kept, *bytes(kind.side_bytes - 2)))


def _overhead_bytes(kind: FrameKind) -> int:
    """Return the bytes of a frame that are not main data, at most."""
    return HEADER_BYTES + CHECKSUM_BYTES + kind.side_bytes
