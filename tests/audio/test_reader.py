from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import resampy
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from audio_classifier.audio.front_end import VGGISH
from audio_classifier.audio.log_mel import log_mel_patches
from audio_classifier.audio.reader import AudioReader, Resampler, read_window
from audio_classifier.constants import PATCH_HOP_SAMPLES, PATCH_S, PATCH_SAMPLES
from audio_classifier.errors import InvalidParameterError, StartBeyondEndError
from tests.support.sounds import busy, encode

LOG_MEL_TOLERANCE = 1e-3
LOSSLESS = [
    ("WAV", "PCM_U8", 1 / 128),
    ("WAV", "PCM_16", 1 / 32768),
    ("WAV", "PCM_24", 1e-6),
    ("WAV", "PCM_32", 1e-6),
    ("WAV", "FLOAT", 0.0),
    ("WAV", "DOUBLE", 0.0),
    ("WAVEX", "PCM_16", 1 / 32768),
    ("RF64", "PCM_16", 1 / 32768),
    ("FLAC", "PCM_16", 1 / 32768),
    ("FLAC", "PCM_24", 1e-6),
    ("AIFF", "PCM_16", 1 / 32768),
]
LOSSY = [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")]


def whole(signal: NDArray[Any], rate_hz: int, resampler: Resampler = "soxr") -> NDArray[Any]:
    """Mix down and resample the whole signal at once, for comparison."""
    mono = signal.reshape(len(signal), -1).mean(axis=1)
    if rate_hz == 16_000:
        return np.asarray(mono)
    if resampler == "resampy":
        return np.asarray(resampy.resample(mono.astype(np.float64), rate_hz, 16_000, filter="kaiser_best"))
    return np.asarray(soxr.resample(mono, rate_hz, 16_000, quality="VHQ"))


def log_mel_difference(actual: NDArray[Any], expected: NDArray[Any]) -> float:
    assert len(actual) == len(expected)
    return float(np.abs(log_mel_patches(actual) - log_mel_patches(expected)).max())


@pytest.mark.parametrize(("container", "subtype", "step"), LOSSLESS)
def test_lossless_formats_return_the_written_samples(container: str, subtype: str, step: float) -> None:
    signal = busy(2, 16_000, channels=2)
    samples = read_window(encode(signal, 16_000, container, subtype))
    np.testing.assert_allclose(samples, signal.mean(axis=1)[: len(samples)], atol=step + 1e-6)


@pytest.mark.parametrize(("container", "subtype"), LOSSY)
def test_lossy_formats_return_approximately_the_written_tone(container: str, subtype: str) -> None:
    t = np.arange(2 * 48_000) / 48_000
    signal = 0.3 * np.sin(2 * np.pi * 440 * t).astype(np.float32)
    samples = read_window(encode(signal, 48_000, container, subtype))
    spectrum = np.abs(np.fft.rfft(samples[:PATCH_SAMPLES]))
    assert spectrum.argmax() * 16_000 / PATCH_SAMPLES == pytest.approx(440, abs=2)
    assert np.abs(samples).max() == pytest.approx(0.3, rel=0.2)


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 8, 64])
def test_channels_are_averaged(channels: int) -> None:
    signal = np.tile(np.arange(channels, dtype=np.float32) / 100, (16_000, 1))
    samples = read_window(encode(signal, 16_000, subtype="FLOAT"))
    np.testing.assert_allclose(samples, (channels - 1) / 200, atol=1e-6)


def test_all_kinds_of_sources_give_equal_samples(tmp_path: Path) -> None:
    content = encode(busy(2, 44_100), 44_100)
    path = tmp_path / "audio.raw"  # the content determines the format, not the extension
    path.write_bytes(content)
    expected = read_window(content)

    class Trickle(io.BytesIO):
        """A file that returns few bytes at a time, as sockets do."""

        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, 100))

    with path.open("rb") as file:
        file.seek(17)
        for source in (
            bytearray(content),
            memoryview(content),
            path,
            str(path),
            file,
            io.BytesIO(content),
            Trickle(content),
        ):
            np.testing.assert_array_equal(read_window(source), expected)
        assert not file.closed


@pytest.mark.parametrize("resampler", ["soxr", "resampy"])
@pytest.mark.parametrize(
    "rate_hz", [4_000, 8_000, 11_025, 16_000, 22_050, 44_099, 44_100, 48_000, 96_000, 384_000]
)
def test_window_equals_the_same_part_of_the_whole_file(rate_hz: int, resampler: Resampler) -> None:
    signal = busy(8, rate_hz, channels=2)
    content = encode(signal, rate_hz, subtype="FLOAT")
    expected = whole(signal, rate_hz, resampler)
    for start_s in (0.0, 2.5, 6.0):
        start = int(start_s / PATCH_S) * PATCH_HOP_SAMPLES
        actual = read_window(content, start_s=start_s, patches=2, resampler=resampler)
        assert (
            log_mel_difference(actual, expected[start : start + VGGISH.span_samples(2 * 96)])
            <= LOG_MEL_TOLERANCE
        )


@pytest.mark.parametrize(("container", "subtype"), [("FLAC", "PCM_16"), *LOSSY])
@pytest.mark.parametrize("start_s", [3.0, 11.1])
def test_window_of_compressed_file_equals_the_same_part_of_the_whole_file(
    container: str, subtype: str, start_s: float
) -> None:
    content = encode(busy(14, 48_000), 48_000, container, subtype)
    with AudioReader(content) as reader:
        expected = reader.read(0, 14 * 16_000)
    start = int(start_s / PATCH_S) * PATCH_HOP_SAMPLES
    actual = read_window(content, start_s=start_s, patches=2)
    assert (
        log_mel_difference(actual, expected[start : start + VGGISH.span_samples(2 * 96)]) <= LOG_MEL_TOLERANCE
    )


@settings(max_examples=40, deadline=None)
@given(
    frames=st.integers(25, 200_000),
    rate_hz=st.integers(4_000, 384_000),
    start=st.floats(0, 0.999),
    patches=st.integers(1, 3),
)
def test_window_has_whole_patches_at_any_rate_and_start(
    frames: int, rate_hz: int, start: float, patches: int
) -> None:
    signal = busy(frames / rate_hz, rate_hz)[:frames]
    samples = read_window(encode(signal, rate_hz), start_s=start * len(signal) / rate_hz, patches=patches)
    assert PATCH_SAMPLES <= len(samples) <= VGGISH.span_samples(patches * 96)
    assert samples.dtype == np.float32


@pytest.mark.parametrize(
    ("duration_s", "patches"), [(0.9749, 1), (0.975, 1), (1.93, 1), (1.935, 2), (10.0, 10), (60.0, 10)]
)
def test_incomplete_patches_are_dropped(duration_s: float, patches: int) -> None:
    samples = read_window(encode(busy(duration_s, 16_000), 16_000))
    assert len(log_mel_patches(samples)) == patches


def test_recording_shorter_than_a_patch_is_repeated() -> None:
    signal = busy(0.2, 16_000)[:, 0]
    samples = read_window(encode(signal, 16_000, subtype="FLOAT"))
    np.testing.assert_array_equal(samples, np.resize(signal, PATCH_SAMPLES))


def test_start_near_the_end_gives_the_last_whole_patch() -> None:
    signal = busy(3.0, 16_000)[:, 0]
    samples = read_window(encode(signal, 16_000, subtype="FLOAT"), start_s=2.9)
    np.testing.assert_array_equal(samples, signal[-PATCH_SAMPLES:])


def test_start_beyond_the_end_is_refused_with_the_length() -> None:
    with pytest.raises(StartBeyondEndError, match=r"4 s.*lasts 3 s") as caught:
        read_window(encode(busy(3, 8_000), 8_000), start_s=4)
    assert "below 3 s" in caught.value.hint


@pytest.mark.parametrize("start_s", [-1.0, math.nan, math.inf])
def test_start_that_is_negative_or_not_finite_is_refused(start_s: float) -> None:
    with pytest.raises(InvalidParameterError, match=f"start_s: must be a finite number .* got {start_s}"):
        read_window(encode(busy(3, 8_000), 8_000), start_s=start_s)


def test_unknown_resampler_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="must be one of soxr, resampy, got 'fast'"):
        read_window(encode(busy(1, 8_000), 8_000), resampler="fast")  # type: ignore[arg-type]


@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
@pytest.mark.parametrize("duration_s", [0.3, 5.0, 20.1])
def test_blocks_contain_all_patches_of_the_recording(rate_hz: int, duration_s: float) -> None:
    signal = busy(duration_s, rate_hz, channels=2)
    with AudioReader(encode(signal, rate_hz, subtype="FLOAT")) as reader:
        patches = np.concatenate([log_mel_patches(block.samples) for block in reader.blocks(4)])
    expected = whole(signal, rate_hz)[: len(signal) * 16_000 // rate_hz]
    if len(expected) < PATCH_SAMPLES:
        expected = np.resize(expected, PATCH_SAMPLES)
    np.testing.assert_allclose(patches, log_mel_patches(expected), atol=LOG_MEL_TOLERANCE)


class CountingFile(io.BytesIO):
    """A file that counts its reads and the bytes read."""

    count = 0
    reads = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.count += len(data)
        self.reads += 1
        return data


@pytest.mark.parametrize("start_s", [0.0, 300.0])
def test_only_the_window_is_read(start_s: float) -> None:
    ten_minutes = np.tile(busy(1, 8_000, channels=2), (600, 1))
    file = CountingFile(encode(ten_minutes, 8_000))
    read_window(file, start_s=start_s)
    assert file.count <= 10.5 * 8_000 * 2 * 2


def test_16_bit_samples_are_read_in_few_pieces() -> None:
    file = CountingFile(encode(busy(10, 44_100, channels=2), 44_100))
    read_window(file)
    assert file.count > 9.5 * 44_100 * 2 * 2
    assert file.reads <= 17


def test_blocks_read_every_byte_once() -> None:
    content = encode(busy(40, 8_000), 8_000)
    file = CountingFile(content)
    with AudioReader(file) as reader:
        assert sum(1 for _ in reader.blocks(2)) == 21
    assert file.count <= len(content) + 8192


def test_flac_is_read_to_its_end_when_header_states_more_frames() -> None:
    content = bytearray(encode(busy(2, 16_000), 16_000, "FLAC"))
    content[21] |= 0x0F  # STREAMINFO's count of samples, 36 bits
    content[22:26] = b"\xff" * 4
    assert len(read_window(bytes(content))) == 2 * 16_000
    with pytest.raises(StartBeyondEndError, match="the recording, which lasts 2 s"):
        read_window(bytes(content), start_s=10)
