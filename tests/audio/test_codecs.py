from __future__ import annotations

import struct

import pytest

from audio_classifier.audio.reader import read_window
from audio_classifier.errors import UnreadableAudioError, UnsupportedFormatError
from tests.support.sounds import busy, encode

WAV = encode(busy(1, 16_000), 16_000)
WAVEX = encode(busy(1, 16_000), 16_000, "WAVEX")


def replaced(content: bytes, offset: int, value: bytes) -> bytes:
    return content[:offset] + value + content[offset + len(value) :]


def ogg_page(packet: bytes) -> bytes:
    """Build the first page of an Ogg stream; its checksum is the only thing that is wrong."""
    return b"OggS\x00\x02" + bytes(20) + bytes([1, len(packet)]) + packet + bytes(200)


def aifc(compression: bytes) -> bytes:
    rate = bytes.fromhex("400cfa00000000000000")  # 16,000 as an 80-bit float
    comm = struct.pack(">hIh", 1, 16_000, 16) + rate + compression + b"\x00\x00"
    chunks = b"COMM" + struct.pack(">I", len(comm)) + comm + b"SSND" + struct.pack(">III", 32_008, 0, 0)
    return b"FORM" + struct.pack(">I", 4 + len(chunks) + 32_000) + b"AIFC" + chunks + bytes(32_000)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (replaced(WAV, 20, b"\xff\x00"), r"AAC \(format tag 0x00FF\)"),
        (replaced(WAV, 20, b"\x61\x01"), r"Windows Media Audio 2 \(format tag 0x0161\)"),
        (replaced(WAV, 20, b"\x34\x12"), r"an unknown codec \(format tag 0x1234\)"),
        (replaced(WAV[:12] + b"JUNK\x05\x00\x00\x00abcdef" + WAV[12:], 34, b"\x10\x16"), "AAC"),
        (replaced(WAVEX, 44, b"\x00\x20"), "AC-3"),
        (aifc(b"MAC3"), r"MACE 3:1 \(type 'MAC3'\)"),
        (aifc(b"zzzz"), r"an unknown codec \(type 'zzzz'\)"),
        (replaced(encode(busy(1, 16_000), 16_000, "CAF"), 28, b"aac "), "AAC"),
        (ogg_page(b"Speex   1.2"), "Speex"),
        (ogg_page(b"\x80theora\x03"), "Theora"),
    ],
)
@pytest.mark.usefixtures("without_formats")
def test_codec_that_cannot_be_decoded_is_named(content: bytes, name: str) -> None:
    with pytest.raises(UnsupportedFormatError, match=name):
        read_window(content)


@pytest.mark.parametrize(
    "content",
    [WAV[:20], WAV[:30], replaced(WAV, 22, b"\x00\x00"), ogg_page(b"\x01vorbis"), b"OggS", WAVEX[:50]],
)
def test_damaged_header_with_known_codec_is_unreadable(content: bytes) -> None:
    with pytest.raises(UnreadableAudioError) as error:
        read_window(content)
    assert not isinstance(error.value, UnsupportedFormatError)
