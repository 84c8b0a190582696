from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from audio_classifier.audio.flac_frames import find_last_frame, header_with_samples, read_stream_info
from audio_classifier.audio.reader import AudioReader
from audio_classifier.errors import AudioError
from tests.support.mpeg import APE, ID3V1, ID3V2
from tests.support.sounds import busy, encode

RATE_HZ = 16_000
FLAC = encode(busy(20, RATE_HZ, channels=2), RATE_HZ, "FLAC")
SHORT = encode(busy(5, RATE_HZ, channels=2, seed=1), RATE_HZ, "FLAC")
OTHER_RATE = encode(busy(5, 44_100, seed=2), 44_100, "FLAC")
NOISE = np.random.default_rng(1).bytes(1 << 20)


def stating(content: bytes, samples: int) -> bytes:
    return header_with_samples(content, samples)


def read(content: bytes) -> tuple[Any, list[str]]:
    with AudioReader(content) as reader:
        samples = reader.read(0, 1 << 20)
        assert reader.info.samples == pytest.approx(len(samples), abs=4096)
        return samples, [warning.code for warning in reader.warnings]


EXPECTED, _ = read(FLAC)


@pytest.mark.parametrize("stated", [len(EXPECTED), 0], ids=["known length", "unknown length"])
@pytest.mark.parametrize(
    ("rest", "codes"),
    [
        (b"", []),
        (ID3V1, []),
        (APE + ID3V1, []),
        (bytes(500), []),
        (bytes(1 << 20), ["partly_read"]),
        (NOISE[: 64 << 10], ["partly_read"]),
        (NOISE, ["partly_read"]),
        (ID3V2 + NOISE, ["partly_read"]),
    ],
    ids=["nothing", "ID3v1", "APE", "few zeros", "zeros", "noise", "more noise", "ID3v2 and noise"],
)
def test_all_audio_is_read_whatever_follows_it(rest: bytes, codes: list[str], stated: int) -> None:
    content = stating(FLAC, stated) + rest
    samples, found = read(content)
    np.testing.assert_array_equal(samples, EXPECTED)
    assert found == codes
    for start in (50_000, 200_000, 304_000, len(samples) - 1):
        with AudioReader(content) as reader:
            np.testing.assert_array_equal(reader.read(start, 5_000), EXPECTED[start : start + 5_000])


@pytest.mark.parametrize(
    "parts",
    [
        [FLAC, SHORT],
        [SHORT, FLAC],
        [FLAC, OTHER_RATE],
        [OTHER_RATE, FLAC],
        [stating(FLAC, 0), stating(SHORT, 0), stating(FLAC, 0)],
        [SHORT + ID3V1, ID3V2 + FLAC],
    ],
)
def test_files_that_follow_one_another_are_read(parts: list[bytes]) -> None:
    expected = np.concatenate([read(part)[0] for part in parts])
    samples, codes = read(b"".join(parts))
    np.testing.assert_array_equal(samples, expected)
    assert codes == ["repaired"]


def test_joined_file_that_cannot_be_read_is_reported() -> None:
    damaged = SHORT[:20] + bytes(4) + SHORT[24:]  # a sample rate of zero
    samples, codes = read(FLAC + damaged)
    np.testing.assert_array_equal(samples, EXPECTED)
    assert codes == ["partly_read"]


@pytest.mark.parametrize(("stated", "code"), [(3 * RATE_HZ, "repaired"), (60 * RATE_HZ, "truncated")])
def test_length_is_that_of_the_frames_when_header_states_another(stated: int, code: str) -> None:
    samples, codes = read(stating(FLAC, stated))
    np.testing.assert_array_equal(samples, EXPECTED)
    assert codes == [code]


@pytest.mark.parametrize("stated", [len(EXPECTED), 0], ids=["known length", "unknown length"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_truncated_file_keeps_what_decodes(share: float, stated: int) -> None:
    content = stating(FLAC, stated)[: int(share * len(FLAC))]
    samples, codes = read(content)
    assert len(samples) > (share - 0.03) * len(EXPECTED)
    np.testing.assert_array_equal(samples, EXPECTED[: len(samples)])
    assert codes == ["truncated"]


def test_ordinary_file_is_read_at_its_end_and_in_the_window_only() -> None:
    content = encode(busy(120, RATE_HZ), RATE_HZ, "FLAC")
    reads: list[int] = []

    class CountingFile(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            reads.append(len(data))
            return data

    with AudioReader(CountingFile(content)) as reader:
        assert sum(reads) < 150_000
        reader.window(60, 15_600)
    assert sum(reads) < len(content) / 5


def test_last_frame_is_found_in_every_block_size() -> None:
    info = read_stream_info(io.BytesIO(FLAC))
    assert info is not None
    for samples in (1, 16, 200, 256, 4_000, 4_096, 70_000):
        content = encode(busy(5, RATE_HZ)[:samples], RATE_HZ, "FLAC")
        info = read_stream_info(io.BytesIO(content))
        assert info is not None
        frame = find_last_frame(io.BytesIO(content), len(content), info)
        assert frame is not None
        assert frame.end == info.samples == samples


@pytest.mark.parametrize("filling", [b"\xff\xf8", b"\xff\xf9\xc9\x08", b"fLaC\x00\x00\x00\x22", b"\xff"])
def test_hostile_bytes_behind_the_audio_are_passed_over(filling: bytes) -> None:
    content = stating(FLAC, 0) + filling * ((1 << 20) // len(filling))
    try:
        samples, _ = read(content)
    except AudioError:
        return
    np.testing.assert_array_equal(samples[: len(EXPECTED)], EXPECTED)


@pytest.mark.parametrize("length", [4, 8, 41, 42, 46, 80, 86, 90, 100, 1_000])
def test_file_that_ends_before_its_first_whole_frame_raises_audio_error(length: int) -> None:
    with pytest.raises(AudioError), AudioReader(FLAC[:length]) as reader:
        reader.window(0, 15_600)
