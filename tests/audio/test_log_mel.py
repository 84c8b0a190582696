from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from audio_classifier.audio.log_mel import log_mel_patches, mel_matrix, periodic_hann
from audio_classifier.constants import PATCH_HOP_SAMPLES, PATCH_SAMPLES


def slow_log_mel_frame(frame: list[float]) -> list[float]:
    """Compute one frame by the definition: a DFT, and triangles between 66 points equally spaced in mel."""
    windowed = [x * (0.5 - 0.5 * math.cos(2 * math.pi * n / 400)) for n, x in enumerate(frame)]

    def magnitude(k: int) -> float:
        return abs(sum(x * cmath.exp(-2j * math.pi * k * n / 512) for n, x in enumerate(windowed)))

    def mel(hz: float) -> float:
        return 1127 * math.log(1 + hz / 700)

    magnitudes = [magnitude(k) for k in range(257)]
    edges = [mel(125) + (mel(7500) - mel(125)) * i / 65 for i in range(66)]
    bands = []
    for low, centre, high in zip(edges, edges[1:], edges[2:], strict=False):
        total = 0.0
        for k in range(1, 257):
            m = mel(k * 16_000 / 512)
            total += magnitudes[k] * max(0.0, min((m - low) / (centre - low), (high - m) / (high - centre)))
        bands.append(math.log(total + 0.01))
    return bands


def test_frames_follow_the_definition() -> None:
    samples = np.random.default_rng(0).standard_normal(PATCH_SAMPLES)
    patches = log_mel_patches(samples)
    for frame in (0, 95):
        expected = slow_log_mel_frame(list(samples[frame * 160 : frame * 160 + 400]))
        np.testing.assert_allclose(patches[0, frame], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("samples", "patches"),
    [(0, 0), (PATCH_SAMPLES - 1, 0), (PATCH_SAMPLES, 1), (PATCH_SAMPLES + PATCH_HOP_SAMPLES - 1, 1),
     (PATCH_SAMPLES + PATCH_HOP_SAMPLES, 2), (160_000, 10)],
)  # fmt: skip
def test_only_whole_patches_are_kept(samples: int, patches: int) -> None:
    assert log_mel_patches(np.zeros(samples, np.float32)).shape == (patches, 96, 64)


def test_patches_follow_each_other_without_overlap() -> None:
    samples = np.random.default_rng(0).standard_normal(4 * PATCH_HOP_SAMPLES)
    patches = log_mel_patches(samples)
    second = log_mel_patches(samples[PATCH_HOP_SAMPLES:])
    np.testing.assert_allclose(patches[1:], second[: len(patches) - 1], atol=1e-6)


def test_silence_gives_the_logarithm_of_the_offset() -> None:
    np.testing.assert_allclose(log_mel_patches(np.zeros(PATCH_SAMPLES)), math.log(0.01))


@pytest.mark.parametrize("frequency_hz", [200, 440, 1000, 3150, 7000])
def test_tone_is_loudest_in_the_band_that_contains_it(frequency_hz: float) -> None:
    samples = np.sin(2 * np.pi * frequency_hz * np.arange(PATCH_SAMPLES) / 16_000)
    edges_hz = 700 * np.expm1(np.linspace(math.log1p(125 / 700), math.log1p(7500 / 700), 66))
    loudest = log_mel_patches(samples)[0].mean(axis=0).argmax()
    half_bin_hz = 16_000 / 512 / 2
    assert edges_hz[loudest] - half_bin_hz <= frequency_hz <= edges_hz[loudest + 2] + half_bin_hz


def test_float32_and_float64_samples_give_equal_patches() -> None:
    samples = (0.1 * np.random.default_rng(0).standard_normal(PATCH_SAMPLES)).astype(np.float32)
    patches: NDArray[np.float32] = log_mel_patches(samples)
    assert patches.dtype == np.float32
    np.testing.assert_array_equal(patches, log_mel_patches(samples.astype(np.float64)))


def test_mel_matrix_covers_125_to_7500_hz() -> None:
    weights = mel_matrix()
    used_hz = np.flatnonzero(weights.sum(axis=1)) * 16_000 / 512
    assert weights.shape == (257, 64)
    assert 125 <= used_hz.min() <= 160
    assert 7460 <= used_hz.max() <= 7500
    assert (weights >= 0).all()
    assert (weights <= 1).all()


def test_hann_window_is_periodic() -> None:
    window = periodic_hann(400)
    assert window[0] == 0
    assert window[200] == 1
    np.testing.assert_allclose(window[1:], window[:0:-1])
