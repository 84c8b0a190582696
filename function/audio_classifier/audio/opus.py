"""Durations of Opus packets (RFC 6716), and headers of Opus in Ogg (RFC 7845)."""

from __future__ import annotations

import struct
from typing import Final

RATE_HZ: Final = 48_000  # of all positions, whatever rate the input had
MAX_PACKET_SAMPLES: Final = 5760  # 120 ms
# Decoded before the target of a seek.  RFC 7845 recommends 3840, after which errors of 0.04 were measured.
PREROLL_SAMPLES: Final = 48_000
HEAD_MARK: Final = b"OpusHead"
HEAD_BYTES: Final = 19
TAGS: Final = b"OpusTags" + struct.pack("<I", 0) + struct.pack("<I", 0)
SILK_SAMPLES: Final = (480, 960, 1920, 2880)
HYBRID_SAMPLES: Final = (480, 960)
CELT_SAMPLES: Final = (120, 240, 480, 960)


def packet_samples(packet: bytes) -> int:
    """Return the duration of a packet in samples at 48 kHz; 0 if it is invalid."""
    if not packet:
        return 0
    config, code = packet[0] >> 3, packet[0] & 3
    if config < 12:
        samples = SILK_SAMPLES[config & 3]
    elif config < 16:
        samples = HYBRID_SAMPLES[config & 1]
    else:
        samples = CELT_SAMPLES[config & 3]
    if code == 3:
        count = packet[1] & 0x3F if len(packet) > 1 else 0
    else:
        count = 1 if code == 0 else 2
    samples *= count
    return samples if samples <= MAX_PACKET_SAMPLES else 0


def pre_skip(head: bytes) -> int:
    """Return the samples at 48 kHz to discard at the beginning, according to an OpusHead packet."""
    return int.from_bytes(head[10:12], "little")


def adapted_head(head: bytes, *, skipped: int) -> bytes:
    """Return an OpusHead packet with another pre-skip, so that libsndfile decodes at 48 kHz."""
    return head[:10] + struct.pack("<HI", skipped, RATE_HZ) + head[16:]
