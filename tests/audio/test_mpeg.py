from __future__ import annotations

import numpy as np
import pytest

from audio_classifier.audio.mpeg import frame_kind, metadata_bytes, stream_tag
from tests.support.mpeg import APE, ID3V1, ID3V2, LYRICS, mp3, mpeg_frames
from tests.support.sounds import busy


@pytest.mark.parametrize(
    ("header", "layer", "rate_hz", "channels", "samples", "length"),
    [
        ("fffb9064", 3, 44_100, 2, 1152, 417),
        ("fffb9264", 3, 44_100, 2, 1152, 418),
        ("fffae0c4", 3, 44_100, 1, 1152, 1044),
        ("fff384c4", 3, 24_000, 1, 576, 192),
        ("ffe318c4", 3, 8_000, 1, 576, 72),
        ("fffda404", 2, 48_000, 2, 1152, 576),
        ("fff5a404", 2, 24_000, 2, 1152, 576),
        ("ffff1804", 1, 32_000, 2, 384, 48),
        ("ffffe200", 1, 44_100, 2, 384, 488),
    ],
)
def test_frame_header_gives_kind_and_length(
    header: str, layer: int, rate_hz: int, channels: int, samples: int, length: int
) -> None:
    data = bytes.fromhex(header)
    kind = frame_kind(data)
    assert kind is not None
    assert (kind.layer, kind.rate_hz, kind.channels, kind.samples) == (layer, rate_hz, channels, samples)
    assert kind.lengths[data[2]] == length
    assert frame_kind(b"x" + data, 1) is kind


@pytest.mark.parametrize(
    "header",
    ["", "fffb90", "fefb9064", "ffdb9064", "ffeb9064", "fff99064", "fffb0064", "fffbf064", "fffb9c64"],
    ids=[
        *("empty", "short", "sync", "sync bits", "reserved version", "reserved layer", "free format"),
        *("reserved bit rate", "reserved sample rate"),
    ],
)
def test_invalid_header_is_not_a_frame(header: str) -> None:
    assert frame_kind(bytes.fromhex(header)) is None


@pytest.mark.parametrize(("rate_hz", "channels"), [(44_100, 2), (44_100, 1), (22_050, 2), (8_000, 1)])
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_tag_of_lame_gives_length_delay_and_padding(rate_hz: int, channels: int, mode: str) -> None:
    content = mp3(busy(2, rate_hz, channels), rate_hz, mode)  # type: ignore[arg-type]
    first, *frames = mpeg_frames(content)
    kind = frame_kind(first)
    assert kind is not None
    tag = stream_tag(first, kind)
    assert tag is not None
    assert (tag.frames, tag.size, tag.is_constant) == (len(frames), len(content), mode == "CONSTANT")
    assert tag.is_verified
    decoder_delay = 529
    assert tag.delay == 576 + decoder_delay
    assert len(frames) * kind.samples - (tag.delay - decoder_delay) - tag.padding == 2 * rate_hz
    assert stream_tag(frames[0], kind) is None


def test_changed_tag_is_not_verified() -> None:
    first = bytearray(mpeg_frames(mp3(busy(1, 16_000), 16_000))[0])
    kind = frame_kind(bytes(first))
    assert kind is not None
    first[first.index(b"Info") + 11] ^= 1
    tag = stream_tag(bytes(first), kind)
    assert tag is not None
    assert not tag.is_verified


def test_tag_of_fraunhofer_gives_length() -> None:
    frame = bytearray(417)
    frame[:4] = bytes.fromhex("fffb9064")
    frame[36:40] = b"VBRI"
    frame[46:54] = (1_000_000).to_bytes(4, "big") + (2_000).to_bytes(4, "big")
    kind = frame_kind(bytes(frame))
    assert kind is not None
    tag = stream_tag(bytes(frame), kind)
    assert tag is not None
    assert (tag.size, tag.frames, tag.delay, tag.is_verified) == (1_000_000, 2_000, 0, False)


def test_tag_that_is_cut_does_not_fail() -> None:
    first = mpeg_frames(mp3(busy(1, 16_000), 16_000))[0]
    kind = frame_kind(first)
    assert kind is not None
    for length in range(len(first)):
        stream_tag(first[:length], kind)
    rng = np.random.default_rng(0)
    for _ in range(200):
        begin = first[:17]
        stream_tag(begin + rng.bytes(60), kind)


@pytest.mark.parametrize("tag", [ID3V1, ID3V2, APE, LYRICS], ids=["ID3v1", "ID3v2", "APE", "Lyrics3"])
def test_size_of_metadata_is_that_of_the_tag(tag: bytes) -> None:
    assert metadata_bytes(b"x" + tag + b"\xff\xfb", 1) == len(tag)


@pytest.mark.parametrize(
    "data", [b"", b"ID3", b"ID3\x03\0\0\xff\xff\xff\xff", b"APETAGEX", b"LYRICSBEGIN", b"\xff\xfb\x90\x64"]
)
def test_incomplete_or_other_data_are_not_metadata(data: bytes) -> None:
    assert metadata_bytes(data) == 0
