from __future__ import annotations

import contextlib
import io
import tracemalloc
from random import Random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from audio_classifier.audio.reader import AudioReader
from audio_classifier.errors import (
    AudioError,
    DamagedAudioError,
    StartBeyondEndError,
    UnreadableAudioError,
    UnsupportedAudioError,
    UnsupportedFormatError,
)
from tests.support.ogg import ogg_packets
from tests.support.sounds import busy, encode
from tests.support.webm import Webm, element, laced, number, track

OPUS_OGG = encode(busy(10, 48_000), 48_000, "OGG", "OPUS")
OPUS_HEAD, _, *OPUS = ogg_packets(OPUS_OGG)
VORBIS_OGG = encode(busy(10, 44_100, 2), 44_100, "OGG", "VORBIS")
VORBIS_HEADERS, VORBIS = ogg_packets(VORBIS_OGG)[:3], ogg_packets(VORBIS_OGG)[3:]
VORBIS_PRIVATE = b"\x02" + laced(VORBIS_HEADERS, "xiph")[1][1:]


def opus(**options: Any) -> bytes:
    return Webm(OPUS, OPUS_HEAD, **options).content()


def whole(content: bytes) -> NDArray[np.float32]:
    with AudioReader(content) as reader:
        return np.asarray(reader.read(0, 10**7))


def assert_begins_with(samples: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    """Compare all but the last samples, which the resampler computes from what follows them."""
    count = len(expected) - 1600
    np.testing.assert_allclose(samples[:count], expected[:count], atol=1e-6)


EXPECTED = whole(OPUS_OGG)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="live"),
        pytest.param({"is_live": False}, id="known sizes"),
        pytest.param({"in_groups": True}, id="groups"),
        pytest.param({"cluster_ms": 100}, id="short clusters"),
        pytest.param({"cluster_ms": 30_000}, id="one cluster"),
        pytest.param({"first_ms": 12_345}, id="late first block"),
        pytest.param({"picture_bytes": 3000}, id="video"),
        pytest.param({"lacing": "xiph", "laced_packets": 4}, id="Xiph lacing"),
        pytest.param({"lacing": "ebml", "laced_packets": 5}, id="EBML lacing"),
        pytest.param({"before_clusters": element(0xEC, bytes(100_000))}, id="long padding"),
        pytest.param({"doc_type": b"matroska"}, id="Matroska"),
    ],
)
def test_opus_in_webm_equals_opus_in_ogg(options: dict[str, Any]) -> None:
    content = opus(**options)
    samples = whole(content)
    assert_begins_with(samples, EXPECTED)
    assert 0 <= len(samples) - len(EXPECTED) < 16_000 * 0.02  # Ogg cuts the last packet
    with AudioReader(content) as reader:
        assert (reader.info.format, reader.info.subtype, reader.warnings) == ("WEBM", "OPUS", [])
        assert reader.info.samples == len(samples)
        for start in (80_000, 20_000, 130_000, 0, 100_000):
            np.testing.assert_allclose(reader.read(start, 16_000), samples[start : start + 16_000], atol=1e-6)


def test_packets_of_equal_size_in_fixed_lacing_are_read() -> None:
    packets = [packet[:40].ljust(40, b"\0") for packet in OPUS]
    expected = whole(Webm(packets, OPUS_HEAD).content())
    content = Webm(packets, OPUS_HEAD, lacing="fixed", laced_packets=3).content()
    np.testing.assert_array_equal(whole(content), expected)


def test_discard_padding_cuts_the_end() -> None:
    content = opus(discard_ns=5_000_000)
    samples = whole(content)
    assert len(whole(opus())) - len(samples) == 80
    with AudioReader(content) as reader:
        assert reader.info.samples == len(samples)
        np.testing.assert_allclose(reader.read(150_000, 20_000), samples[150_000:], atol=1e-6)


@pytest.mark.parametrize("packet_ms", [20.3, 19.7])
def test_rounded_times_of_blocks_do_not_move_windows(packet_ms: float) -> None:
    """Browsers take times from a clock, so that they deviate from the durations of packets."""
    jittered = Webm(OPUS[:40], OPUS_HEAD, packet_ms=packet_ms, cluster_ms=200).content()
    with AudioReader(jittered) as reader:
        np.testing.assert_allclose(reader.read(9_600, 1_600), EXPECTED[9_600:11_200], atol=1e-4)


def test_gap_between_blocks_is_not_filled() -> None:
    first, second = Webm(OPUS[:100], OPUS_HEAD), Webm(OPUS[100:], OPUS_HEAD, first_ms=5000)
    clusters = second.content()
    content = first.content() + clusters[clusters.index(b"\x1fC\xb6u") :]
    samples = whole(content)
    assert_begins_with(samples, EXPECTED)
    with AudioReader(content) as reader:
        np.testing.assert_allclose(reader.read(16_000 * 7, 1_600), EXPECTED[16_000 * 4 :][:1_600], atol=1e-4)


@pytest.mark.parametrize("cluster_ms", [500, 30_000])
def test_vorbis_in_webm_equals_vorbis_in_ogg_to_a_millisecond(cluster_ms: int) -> None:
    expected = whole(VORBIS_OGG)
    packet_ms = 10_000 / (len(VORBIS) - 1)
    content = Webm(VORBIS, VORBIS_PRIVATE, "A_VORBIS", packet_ms, cluster_ms=cluster_ms).content()
    assert_begins_with(whole(content), expected)
    with AudioReader(content) as reader:
        assert (reader.info.subtype, reader.info.channels) == ("VORBIS", 2)
        assert reader.info.duration_s == pytest.approx(10, abs=0.05)
        assert len(reader.read(100_000, 16_000)) == 16_000


class CountingFile(io.BytesIO):
    bytes_read = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.bytes_read += len(data)
        return data


@pytest.mark.parametrize("picture_bytes", [0, 1000])
def test_window_of_long_recording_reads_little(picture_bytes: int) -> None:
    content = Webm(OPUS * 60, OPUS_HEAD, picture_bytes=picture_bytes).content()
    for start_s in (0, 304, 587):
        file = CountingFile(content)
        tracemalloc.start()
        with AudioReader(file) as reader:
            assert reader.info.duration_s == pytest.approx(600, abs=2)
            assert len(reader.window(start_s, 15_600)) == 15_600
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert file.bytes_read < 3 << 20
        assert peak < 8e6


def test_first_audio_track_is_read() -> None:
    tracks = [
        track("V_VP9", b"", track_number=3, kind=1),
        track("A_OPUS", OPUS_HEAD),
        track("A_AAC", b"", track_number=4),
    ]
    np.testing.assert_array_equal(whole(opus(tracks=tracks)), whole(opus()))


@pytest.mark.usefixtures("without_formats")
@pytest.mark.parametrize(
    ("tracks", "match"),
    [
        ([track("A_AAC", b"\x12\x10")], "A_AAC, which cannot be decoded"),
        ([track("A_PCM/INT/LIT", b"")], "A_PCM/INT/LIT"),
        ([track("V_VP8", b"", kind=1)], "no audio track"),
        ([track("A_OPUS", OPUS_HEAD, extra=element(0x6D80, b"x"))], "compressed or encrypted"),
    ],
)
def test_track_that_cannot_be_decoded_is_refused_by_name(tracks: list[bytes], match: str) -> None:
    with pytest.raises(UnsupportedFormatError, match=match):
        whole(opus(tracks=tracks))


@pytest.mark.parametrize(
    ("content", "error", "match"),
    [
        pytest.param(opus()[:40], UnreadableAudioError, "ends within its header", id="cut in its header"),
        pytest.param(Webm([], OPUS_HEAD).content(), UnreadableAudioError, "ends within", id="no clusters"),
        pytest.param(Webm([b""], OPUS_HEAD).content(), DamagedAudioError, "no audio", id="no packets"),
        pytest.param(Webm(OPUS, b"OpusTags").content(), UnreadableAudioError, "no header", id="no OpusHead"),
        pytest.param(
            Webm(OPUS, OPUS_HEAD[:9] + b"\0" + OPUS_HEAD[10:]).content(), AudioError, None, id="no channels"
        ),
        pytest.param(
            Webm(VORBIS, VORBIS_PRIVATE[:50], "A_VORBIS").content(),
            UnreadableAudioError,
            "no header",
            id="Vorbis",
        ),
        pytest.param(
            Webm(OPUS, OPUS_HEAD[:9] + b"\xff" + OPUS_HEAD[10:18] + b"\xff\x10\x10" + bytes(255)).content(),
            (UnreadableAudioError, UnsupportedAudioError),
            None,
            id="255 channels",
        ),
    ],
)
def test_damaged_file_is_refused(content: bytes, error: type[AudioError], match: str | None) -> None:
    with pytest.raises(error, match=match):
        whole(content)


def test_start_beyond_the_end_is_refused() -> None:
    with AudioReader(opus()) as reader:
        with pytest.raises(StartBeyondEndError, match="lasts 10"):
            reader.window(11, 15_600)
        assert len(reader.window(9.9, 15_600)) == 15_600


def test_truncated_recording_is_read_to_its_end() -> None:
    content = opus()
    for size in (len(content) // 2, len(content) - 5):
        samples = whole(content[:size])
        assert len(samples) > 0.9 * size / len(content) * len(EXPECTED)
        assert_begins_with(samples, EXPECTED[: len(samples)])


def test_reading_continues_with_the_next_cluster_after_damage() -> None:
    content = bytearray(opus())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    assert len(whole(bytes(content))) > 0.85 * len(EXPECTED)


def test_recording_from_a_file_that_fails_raises_its_exception() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 400_000:
                raise ConnectionResetError("the peer went away")
            return super().read(size)

    with pytest.raises(ConnectionResetError):
        AudioReader(Failing(Webm(OPUS * 20, OPUS_HEAD).content()))


@pytest.mark.parametrize(
    "filling",
    [
        pytest.param(b"\x1fC\xb6u" * 500_000, id="marks of clusters"),
        pytest.param(b"\xec\x80" * 1_000_000, id="empty elements"),
        pytest.param(b"\xa3\x84\x81\0\0\0" * 300_000, id="blocks without packets"),
        pytest.param(element(0x1F43B675, number(0xE7, 0)) * 100_000, id="empty clusters"),
        pytest.param(b"\xa0\x01" + b"\xff" * 7, id="endless group"),
        pytest.param(b"\xec\x08\xff\xff\xff\xff\xff", id="huge element"),
        pytest.param(b"\xa3\x85\x81\0\0\x06\xff" * 1000, id="lacing beyond the block"),
    ],
)
def test_hostile_content_is_read_or_refused(filling: bytes) -> None:
    content = opus()
    middle = content.index(b"\x1fC\xb6u", len(content) // 2)
    for changed in (
        content[:middle] + filling + content[middle:],
        content + filling,
        content[:200] + filling,
    ):
        with contextlib.suppress(AudioError), AudioReader(changed) as reader:
            for start in (0, 120_000):
                reader.read(start, 20_000)


def test_damaged_bytes_are_read_or_refused() -> None:
    content, random = opus(in_groups=True, discard_ns=1_000_000), Random(1)
    for _ in range(60):
        damaged = bytearray(content)
        for _ in range(3):
            damaged[int(random.expovariate(1 / 300)) % len(content)] = random.randrange(256)
        with contextlib.suppress(AudioError), AudioReader(bytes(damaged)) as reader:
            reader.read(0, 20_000)
            reader.read(100_000, 20_000)
