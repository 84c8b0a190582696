"""Samples that are replaced, scaled or reported, and the choice of the channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from audio_classifier.audio.channels import Channel
from audio_classifier.audio.reader import AudioReader
from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.errors import InvalidParameterError, InvalidSamplesError
from tests.fuzz.checksums import ogg_pages
from tests.support.sounds import busy, encode

RATE_HZ = 16_000
MONO = busy(3, RATE_HZ)
STEREO = busy(3, RATE_HZ, channels=2)


def read(content: bytes, channel: Channel = None) -> tuple[NDArray[Any], list[AudioWarning]]:
    with AudioReader(content, channel=channel) as reader:
        return reader.read(0, 1 << 20), reader.warnings


def codes(content: bytes) -> list[str]:
    return [warning.code for warning in read(content)[1]]


def floats(signal: NDArray[Any]) -> bytes:
    return encode(signal, RATE_HZ, subtype="FLOAT")


def test_audio_that_is_missing_in_the_middle_is_reported() -> None:
    pages = ogg_pages(encode(busy(30, RATE_HZ), RATE_HZ, "OGG"))
    pages[len(pages) // 2] = bytes(len(pages[len(pages) // 2]))
    samples, (warning,) = read(b"".join(pages))
    assert warning.code == "partly_read"
    assert warning.details == {"read_s": pytest.approx(len(samples) / RATE_HZ, abs=0.01), "stated_s": 30.0}


def test_ordinary_recording_has_no_warnings() -> None:
    for container in ("WAV", "FLAC", "OGG", "MP3"):
        assert codes(encode(STEREO, RATE_HZ, container)) == []


@pytest.mark.parametrize(
    ("bits", "peak"), [(16, 5.0), (16, 2.0**15), (24, 2.0**15 + 1), (24, 2.0**23), (32, 2.0**31)]
)
def test_floats_in_scale_of_integers_are_divided(bits: int, peak: float) -> None:
    signal = MONO / np.abs(MONO).max() * peak
    samples, warnings = read(floats(signal))
    np.testing.assert_allclose(samples, signal[:, 0] / 2 ** (bits - 1), rtol=1e-6)
    assert warnings[0].code == "rescaled"
    assert warnings[0].details == {"divisor": 2 ** (bits - 1)}


@pytest.mark.parametrize("peak", [0.1, 1.0, 3.99])
def test_floats_within_the_headroom_are_unchanged(peak: float) -> None:
    signal = MONO / np.abs(MONO).max() * peak
    samples, warnings = read(floats(signal))
    np.testing.assert_array_equal(samples, signal.astype(np.float32)[:, 0])
    assert not [warning for warning in warnings if warning.code == "rescaled"]


def test_loud_samples_of_a_lossy_codec_are_not_in_the_scale_of_integers() -> None:
    samples, _ = read(encode(20 * MONO, RATE_HZ, "OGG", "VORBIS"))
    assert np.abs(samples).max() > 4


def test_quiet_beginning_has_the_scale_of_the_rest() -> None:
    signal = np.concatenate([MONO / np.abs(MONO).max() * 3, MONO * 40_000])
    with AudioReader(floats(signal)) as reader:
        beginning = reader.read(0, RATE_HZ)
        assert [warning.code for warning in reader.warnings][:1] == ["rescaled"]
    np.testing.assert_allclose(beginning, signal[:RATE_HZ, 0] / 2**15, rtol=1e-6)


def test_quiet_integers_in_floats_are_divided() -> None:
    samples, warnings = read(floats(np.rint(MONO * 8)))
    assert np.abs(samples).max() < 0.001
    assert {warning.code for warning in warnings} == {"rescaled", "very_quiet"}


def test_scale_is_decided_once_for_all_blocks() -> None:
    signal = np.concatenate([np.zeros_like(MONO), MONO * 30_000, MONO * 0.5])
    with AudioReader(floats(signal)) as reader:
        blocks = [reader.read(start, RATE_HZ) for start in range(0, 9 * RATE_HZ, RATE_HZ)]
    np.testing.assert_allclose(np.concatenate(blocks), signal[:, 0] / 2**15, rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_few_invalid_samples_become_zero(value: float) -> None:
    signal = STEREO.copy()
    signal[[10, 20_000, -1], 1] = value
    samples, (warning,) = read(floats(signal))
    signal[[10, 20_000, -1], 1] = 0
    np.testing.assert_allclose(samples, signal.mean(axis=1), atol=1e-7)
    assert (warning.code, warning.details) == ("invalid_samples", {"samples": 3})


def test_infinities_of_both_signs_in_one_frame_become_zero() -> None:
    signal = STEREO.copy()
    signal[100] = np.inf, -np.inf
    samples, _ = read(floats(signal))
    assert samples[100] == 0


def test_more_than_one_percent_of_invalid_samples_are_an_error_with_the_time() -> None:
    signal = MONO.copy()
    signal[8_000:8_500] = np.nan
    with pytest.raises(InvalidSamplesError, match=r"1% of the samples after 0\.5 s are NaN"):
        read(floats(signal))


def test_opposite_channels_are_not_mixed() -> None:
    for subtype in ("PCM_16", "FLOAT"):
        content = encode(np.hstack([0.5 * MONO, -0.5 * MONO]), RATE_HZ, subtype=subtype)
        samples, (warning,) = read(content)
        np.testing.assert_allclose(samples, 0.5 * MONO[:, 0], atol=1e-4)
        assert (warning.code, warning.details) == ("channels_cancel", {"channel": 1})


def test_loudest_channel_is_used_if_the_mean_is_twenty_decibels_below() -> None:
    quiet, loud = 0.2 * MONO, -0.2 * MONO * 1.15
    samples, (warning,) = read(floats(np.hstack([quiet, loud])))
    np.testing.assert_allclose(samples, loud[:, 0], atol=1e-6)
    assert warning.details == {"channel": 2}
    samples, warnings = read(floats(np.hstack([quiet, 1.3 * loud])))  # 16 dB below
    assert warnings == []


def test_silent_beginning_does_not_decide_on_the_channel() -> None:
    both = np.hstack([MONO, -0.9 * MONO])
    signal = np.concatenate([np.zeros_like(both), both, np.hstack([MONO, MONO])])
    with AudioReader(encode(signal, RATE_HZ)) as reader:
        blocks = [reader.read(start, RATE_HZ) for start in range(0, 9 * RATE_HZ, RATE_HZ)]
        assert [warning.code for warning in reader.warnings] == ["channels_cancel"]
    np.testing.assert_allclose(np.concatenate(blocks), signal[:, 0], atol=1e-4)


@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG"])
def test_one_channel_can_be_selected(container: str) -> None:
    signal = np.hstack([MONO, 0.1 * busy(3, RATE_HZ, seed=1)])
    expected, _ = read(encode(signal, RATE_HZ, container), "mix")
    first, _ = read(encode(signal, RATE_HZ, container), 1)
    second, _ = read(encode(signal, RATE_HZ, container), 2)
    np.testing.assert_allclose((first + second) / 2, expected, atol=1e-6)
    assert np.abs(first).max() > 3 * np.abs(second).max()


def test_mix_is_the_mean_even_if_channels_cancel() -> None:
    samples, (warning,) = read(encode(np.hstack([MONO, -MONO]), RATE_HZ), "mix")
    assert np.abs(samples).max() < 1e-4
    assert warning.code == "very_quiet"


@pytest.mark.parametrize("channel", [0, 3, -1])
def test_channel_that_does_not_exist_is_refused(channel: int) -> None:
    with pytest.raises(InvalidParameterError, match=f"channel: must be 1 to 2.*got {channel}"):
        read(encode(STEREO, RATE_HZ), channel)


@pytest.mark.parametrize(("peak", "quiet"), [(0.0009, True), (0.0011, False), (0.0, True)])
def test_very_quiet_recording_is_reported(peak: float, quiet: bool) -> None:
    signal = MONO / np.abs(MONO).max() * peak
    assert codes(floats(signal)) == (["very_quiet"] if quiet else [])


@pytest.mark.parametrize(
    ("container", "subtype"),
    [
        ("WAV", "PCM_16"),
        ("WAV", "PCM_24"),
        ("WAV", "PCM_U8"),
        ("WAV", "ULAW"),
        ("WAV", "FLOAT"),
        ("FLAC", "PCM_16"),
    ],
)
def test_clipped_recording_is_reported(container: str, subtype: str) -> None:
    loud = np.clip(20 * MONO, -1, 1)
    _, (warning,) = read(encode(loud, RATE_HZ, container, subtype))
    assert warning.code == "clipped"
    assert warning.details["share"] > 0.5
    assert codes(encode(0.9 * MONO / np.abs(MONO).max(), RATE_HZ, container, subtype)) == []
