"""MPEG audio files for tests."""

from __future__ import annotations

import io
import struct
from typing import Any, Literal

import soundfile
from numpy.typing import NDArray

from audio_classifier.audio.mpeg import frame_kind

LAME_DELAY = 576 + 529  # of libsndfile's encoder, and of the decoder
ID3V1 = b"TAG" + bytes(125)
ID3V2 = b"ID3\x03\x00\x00\x00\x00\x02\x00" + b"\xff\xfb" * 128
APE = b"APETAGEX" + struct.pack("<IIII8x", 2000, 132, 1, 0xA0000000) + b"x" * 100
APE += b"APETAGEX" + struct.pack("<IIII8x", 2000, 132, 1, 0x80000000)
LYRICS = b"LYRICSBEGIN" + b"x" * 200 + b"LYRICS200"


def mp3(
    signal: NDArray[Any], rate_hz: int, mode: Literal["CONSTANT", "VARIABLE"] = "CONSTANT", level: float = 0.5
) -> bytes:
    """Encode an MP3 file with a Xing or Info tag; a higher level is a lower bit rate."""
    buffer = io.BytesIO()
    channels = signal.reshape(len(signal), -1).shape[1]
    with soundfile.SoundFile(
        buffer, "w", rate_hz, channels, format="MP3", bitrate_mode=mode, compression_level=level
    ) as file:
        file.write(signal)
    return buffer.getvalue()


def mpeg_frames(content: bytes) -> list[bytes]:
    """Split a file that consists of frames only; the first one can hold a tag."""
    frames = []
    position = 0
    while position < len(content):
        kind = frame_kind(content, position)
        assert kind is not None
        length = kind.lengths[content[position + 2]]
        frames.append(content[position : position + length])
        position += length
    return frames


def without_tag(content: bytes) -> bytes:
    """Remove the frame with the tag, as if the file had been written to a pipe."""
    return b"".join(mpeg_frames(content)[1:])
