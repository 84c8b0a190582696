from __future__ import annotations

import contextlib
import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from audio_classifier.audio.reader import AudioReader
from audio_classifier.errors import AudioError, DamagedAudioError, StartBeyondEndError, UnsupportedFormatError
from tests.fuzz.checksums import ogg_page, ogg_pages
from tests.support.ogg import changed_page, flac_in_ogg, multiplexed, with_serial
from tests.support.sounds import busy, encode

RATE = 16_000


def stream(
    duration_s: float, serial: int, rate_hz: int = RATE, subtype: str = "VORBIS", channels: int = 1
) -> bytes:
    return with_serial(encode(busy(duration_s, rate_hz, channels, serial), rate_hz, "OGG", subtype), serial)


def flac(duration_s: float, serial: int, rate_hz: int = RATE, **options: int) -> bytes:
    signal = busy(duration_s, rate_hz, seed=serial)
    return flac_in_ogg(encode(signal, rate_hz, "FLAC"), serial, **options)  # type: ignore[arg-type]


def whole(content: bytes) -> NDArray[np.float32]:
    """Return all samples at 16 kHz."""
    with AudioReader(content) as reader:
        return np.asarray(reader.read(0, 10**7))


def codes(content: bytes) -> list[str]:
    with AudioReader(content) as reader:
        reader.read(0, 10**7)
        return [warning.code for warning in reader.warnings]


class CountingFile(io.BytesIO):
    """A file that counts the pieces of 64 KiB that are read."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.pieces: set[int] = set()
        self.bytes_read = 0

    def read(self, size: int | None = -1) -> bytes:
        begin = self.tell()
        data = super().read(size)
        self.pieces.update(range(begin >> 16, (begin + len(data) + 0xFFFF) >> 16))
        self.bytes_read += len(data)
        return data


A, B, C = stream(3, 1), stream(2, 2, 22_050, channels=2), stream(2.5, 3, 48_000, "OPUS")


@pytest.mark.parametrize(
    "links",
    [
        pytest.param([A, stream(2, 2), stream(1.5, 3)], id="alike"),
        pytest.param([A, B, C], id="rates, channels and codecs"),
        pytest.param([C, flac(2, 4), A], id="FLAC between others"),
        pytest.param([flac(2, 4, former_mapping=1), flac(3, 5, 44_100)], id="FLAC only"),
        pytest.param([A, A], id="same serial number"),
        pytest.param([stream(20, 1), stream(20, 2)], id="longer than both ends that are read"),
        pytest.param([stream(30, 1)] * 3, id="same serial number, longer than both ends"),
        pytest.param([A, stream(60, 1)], id="same serial number, the first one short"),
    ],
)
def test_all_links_of_chained_file_are_read(links: list[bytes]) -> None:
    expected = [whole(link) for link in links]
    samples = whole(b"".join(links))
    np.testing.assert_array_equal(samples, np.concatenate(expected))
    with AudioReader(b"".join(links)) as reader:
        assert reader.warnings == []
        assert reader.info.samples == pytest.approx(len(samples), abs=2)


def test_window_in_any_link_equals_that_of_the_whole_file() -> None:
    content = A + B + flac(2, 4) + C
    expected = whole(content)
    with AudioReader(content) as reader:
        for start in (100_000, 40_000, 0, 130_000, 90_000):
            np.testing.assert_array_equal(reader.read(start, 20_000), expected[start : start + 20_000])


def test_link_that_cannot_be_decoded_is_reported() -> None:
    speex = ogg_page(b"OggS\0\2" + bytes(8) + b"\7\0\0\0" + bytes(4), b"\x50", b"Speex   ".ljust(80, b"\0"))
    data = ogg_page(b"OggS\0\0" + bytes(8) + b"\7\0\0\0\1\0\0\0", b"\x50", bytes(80))
    content = A + speex + data + stream(2, 2)
    np.testing.assert_array_equal(whole(content), np.concatenate([whole(A), whole(stream(2, 2))]))
    with AudioReader(content) as reader:
        (warning,) = reader.warnings
    assert warning.code == "partly_read"
    assert "1 of 3" in warning.message
    assert "Speex" in warning.message
    assert warning.details == {"streams_read": 2}


def test_damaged_first_page_is_reported_if_another_link_is_read() -> None:
    content = A[:40] + b"x" + A[41:] + B
    np.testing.assert_array_equal(whole(content), whole(B))
    assert codes(content) == ["partly_read"]


def test_stream_that_was_recorded_from_its_middle_is_read_at_any_position() -> None:
    pages = list(ogg_pages(stream(40, 1, 44_100)))
    content = b"".join(pages[:2] + pages[len(pages) // 2 :])
    expected = whole(content)
    assert 15 * 16_000 < len(expected) < 25 * 16_000
    with AudioReader(content) as reader:
        assert reader.info.samples == len(expected)
    for start in (1_000, 100_000, len(expected) - 20_000, len(expected) - 500):
        with AudioReader(content) as reader:
            np.testing.assert_allclose(reader.read(start, 5_000), expected[start : start + 5_000], atol=1e-5)
    assert codes(content) == []


def test_window_in_the_last_page_is_exact() -> None:
    content = stream(6, 1, 22_050)
    expected = whole(content)
    for start in range(80_000, 96_000, 1_700):
        with AudioReader(content) as reader:
            np.testing.assert_array_equal(reader.read(start, 5_000), expected[start : start + 5_000])


@pytest.mark.parametrize("content", [stream(20, 1), stream(20, 1, 48_000, "OPUS")], ids=["Vorbis", "Opus"])
def test_missing_pages_are_reported(content: bytes) -> None:
    pages = list(ogg_pages(content))
    middle = len(pages) // 2
    assert codes(b"".join(pages[:middle] + pages[middle + 2 :])) == ["partly_read"]


@pytest.mark.parametrize("count", [5_000, 1 << 20, 5 << 20])
def test_bytes_after_the_last_page_are_reported(count: int) -> None:
    assert codes(A + bytes(count)) == ["partly_read"]
    assert codes(A + B + bytes(count)) == ["partly_read"]
    assert codes(A + bytes(500)) == []


def test_number_of_links_is_bounded() -> None:
    link = with_serial(encode(busy(0.1, 8_000), 8_000, "OGG"), 1)
    content = b"".join(with_serial(link, serial) for serial in range(300))
    with AudioReader(content) as reader:
        assert [warning.code for warning in reader.warnings] == ["partly_read"]
        assert "more than 256" in reader.warnings[0].message
        assert reader.info.duration_s == pytest.approx(25.6, abs=0.5)


@pytest.mark.parametrize("first_pages", [A[:58], ogg_pages(A)[0][:-1] + b"x", b"OggS\0\2" * 10])
def test_many_first_pages_are_read_or_refused(first_pages: bytes) -> None:
    with contextlib.suppress(AudioError):
        whole(A + first_pages * 100_000)


@pytest.mark.parametrize(
    "tail", [bytes(100), b"OggS" * 20_000, bytes(300_000), b"junk" * 500_000, bytes(6 << 20)]
)
@pytest.mark.parametrize("links", [[stream(10, 1)], [A, B], [flac(5, 1)]])
def test_bytes_after_the_last_page_lose_no_audio(tail: bytes, links: list[bytes]) -> None:
    file = CountingFile(b"".join([*links, tail]))
    with AudioReader(file) as reader:
        np.testing.assert_array_equal(reader.read(0, 10**7), whole(b"".join(links)))
    assert file.bytes_read < 12e6


@pytest.mark.parametrize("content", [stream(60, 1), stream(60, 1, 48_000, "OPUS")], ids=["Vorbis", "Opus"])
def test_ordinary_file_is_read_at_its_end_and_in_the_window_only(content: bytes) -> None:
    file = CountingFile(content)
    with AudioReader(file) as reader:
        reader.read(0, 16_000)
    assert len(content) > 4 << 16
    assert len(file.pieces) <= 4  # two at the beginning; the last page can begin in the last piece but one


@pytest.mark.parametrize("content", [A, C, flac(3, 1)], ids=["Vorbis", "Opus", "FLAC"])
def test_file_without_its_end_is_read_with_a_warning(content: bytes) -> None:
    assert codes(content) == []
    pages = ogg_pages(content)
    unmarked = b"".join([*pages[:-1], changed_page(pages[-1], flags=0)])
    assert codes(unmarked) == ["truncated"]
    np.testing.assert_array_equal(whole(unmarked), whole(content))
    cut = content[: len(content) * 2 // 3]
    assert codes(cut) == ["truncated"]
    samples = whole(cut)
    assert len(samples) > 0.3 * len(whole(content))
    count = len(samples) - 1600  # the resampler computes the last samples from what follows them
    np.testing.assert_array_equal(samples[:count], whole(content)[:count])


def test_cut_link_before_another_one_keeps_what_decodes() -> None:
    content = A[: len(A) // 2] + B
    assert codes(content) == ["truncated"]
    np.testing.assert_array_equal(whole(content)[-len(whole(B)) :], whole(B))


def test_first_audio_track_of_several_is_read() -> None:
    video = with_serial(A, 9)
    first, *others = ogg_pages(video)
    theora = ogg_page(first[:22], b"\x2a", b"\x80theora".ljust(42, b"\0")) + b"".join(others)
    np.testing.assert_array_equal(whole(multiplexed(A, theora)), whole(A))
    np.testing.assert_array_equal(whole(multiplexed(theora, A)), whole(A))
    np.testing.assert_array_equal(whole(multiplexed(theora, flac(3, 1))), whole(flac(3, 1)))
    np.testing.assert_array_equal(
        whole(multiplexed(theora, A) + multiplexed(with_serial(theora, 8), B)),
        np.concatenate([whole(A), whole(B)]),
    )
    with pytest.raises(UnsupportedFormatError, match="Theora"):
        whole(theora)


@pytest.mark.parametrize("packets_per_page", [1, 3])
@pytest.mark.parametrize("former_mapping", [False, True])
@pytest.mark.parametrize("channels", [1, 2])
def test_flac_in_ogg_equals_native_flac(packets_per_page: int, former_mapping: bool, channels: int) -> None:
    native = encode(busy(9, 44_100, channels), 44_100, "FLAC")
    content = flac_in_ogg(native, packets_per_page=packets_per_page, former_mapping=former_mapping)
    np.testing.assert_array_equal(whole(content), whole(native))
    with AudioReader(content) as reader, AudioReader(native) as expected:
        assert reader.info == expected.info
        for start_s in (7, 3.9, 0, 8.5):
            np.testing.assert_array_equal(reader.window(start_s, 30_960), expected.window(start_s, 30_960))
        with pytest.raises(StartBeyondEndError, match="lasts 9 s"):
            reader.window(9.5, 15_600)


def test_flac_in_ogg_that_begins_late_starts_at_its_first_frame() -> None:
    """As recorded from a live stream: its granule positions count from the start of the broadcast."""
    native = encode(busy(6, RATE), RATE, "FLAC")
    first, comment, *pages = ogg_pages(flac_in_ogg(native))
    late = b"".join([first, comment, *pages[10:]])
    skipped = 10 * int.from_bytes(native[8:10], "big")
    expected = whole(native)[skipped:]
    np.testing.assert_array_equal(whole(late), expected)
    with AudioReader(late) as reader:
        assert reader.info.frames == 6 * RATE - skipped
        np.testing.assert_array_equal(reader.read(32_000, 8_000), expected[32_000:40_000])


def test_flac_in_ogg_is_read_in_the_window_only() -> None:
    content = flac(120, 1)
    for start_s in (0, 60, 117):
        file = CountingFile(content)
        with AudioReader(file) as reader:
            tracemalloc.start()
            reader.window(start_s, 15_600)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert len(file.pieces) < 20 < len(content) >> 17
        assert peak < 4e6


def test_damaged_page_of_flac_in_ogg_loses_its_frames_only() -> None:
    pages = ogg_pages(flac(6, 1))
    lost = len(pages) // 2
    damaged = b"".join([*pages[:lost], pages[lost][:-1] + b"x", *pages[lost + 1 :]])
    with contextlib.suppress(DamagedAudioError):
        assert len(whole(damaged)) > 5 * RATE
    assert len(whole(b"".join(pages[:lost] + pages[lost + 1 :]))) > 5 * RATE


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param(slice(0, 1), id="no comment"),
        pytest.param(slice(0, 2), id="no audio"),
        pytest.param(slice(1, 9), id="no header"),
    ],
)
def test_flac_in_ogg_without_audio_or_header_is_refused(pages: slice) -> None:
    with pytest.raises(AudioError):
        whole(b"".join(ogg_pages(flac(2, 1))[pages]))


def test_file_that_fails_raises_its_own_exception() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 200_000:
                raise ConnectionResetError("the peer went away")
            return super().read(size)

    for content in (flac(20, 1), stream(60, 1) + B):
        with pytest.raises(ConnectionResetError), AudioReader(Failing(content)) as reader:
            reader.read(0, 10**7)


@pytest.mark.parametrize(("name", "duration_s"), [("chained_27s.ogg", 27.3), ("flac_in_ogg_siren.oga", 8)])
def test_recording_from_elsewhere_is_read_whole(golden_data: Path, name: str, duration_s: float) -> None:
    content = (golden_data / "inputs" / name).read_bytes()
    samples = whole(content)
    assert len(samples) / 16_000 == pytest.approx(duration_s, abs=0.05)
