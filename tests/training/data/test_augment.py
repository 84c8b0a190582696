"""Augmented patches: shape, level, seed, sampling weights and effects."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from audio_classifier.constants import PATCH_SAMPLES, SAMPLE_RATE_HZ
from training.data import effects
from training.data.augment import NATURAL_SHARE, Augmenter, Patch
from training.data.clips import ClipPool, ClipWriter, to_int16
from training.data.windows import list_windows, read_patch


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> ClipPool:
    folder, rng = tmp_path_factory.mktemp("pool"), np.random.default_rng(0)
    with ClipWriter(folder) as writer:
        for number, samples in enumerate((900, PATCH_SAMPLES, 40_000, 100_000)):
            clip = to_int16(0.1 * rng.standard_normal(samples))
            assert clip is not None
            writer.add("noise", str(number), "CC0", clip)
    return ClipPool.open(folder)


def patches(pool: ClipPool, count: int, seed: int = 0) -> list[Patch]:
    windows = list_windows(pool)
    augmenter = Augmenter(pool, windows, np.ones(len(windows)), seed)
    return list(islice(iter(augmenter.patch, None), count))


def test_patches_are_full_length_float32_within_full_scale(pool: ClipPool) -> None:
    for samples, clip, offset in patches(pool, 200):
        assert samples.shape == (PATCH_SAMPLES,)
        assert samples.dtype == np.float32
        assert 0 < np.abs(samples).max() <= 1.0001
        assert 0 <= offset <= max(0, pool.clips[clip].samples - PATCH_SAMPLES)


def test_patches_are_equal_for_equal_seeds_and_differ_otherwise(pool: ClipPool) -> None:
    first, repeated, other = (patches(pool, 5, seed) for seed in (1, 1, 2))
    for one, two in zip(first, repeated, strict=True):
        np.testing.assert_array_equal(one.samples, two.samples)
    assert any(not np.array_equal(one.samples, two.samples) for one, two in zip(first, other, strict=True))


def test_a_third_of_patches_are_unmodified_windows(pool: ClipPool) -> None:
    made = patches(pool, 600)
    natural = [np.array_equal(patch.samples, read_patch(pool, patch.clip, patch.offset)) for patch in made]
    assert np.mean(natural) == pytest.approx(NATURAL_SHARE, abs=0.06)


def test_windows_are_drawn_in_proportion_to_weights(pool: ClipPool) -> None:
    windows = list_windows(pool)
    weights = np.where(windows[:, 0] == 2, 3.0, 0.0)
    weights[0] = weights.sum()
    augmenter = Augmenter(pool, windows, weights, seed=0)
    clips = [augmenter.patch().clip for _ in range(400)]
    assert set(clips) == {0, 2}
    assert np.mean(np.array(clips) == 0) == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize("weights", [np.zeros(4), np.ones(3)])
def test_weights_are_refused_when_all_zero_or_of_the_wrong_number(
    pool: ClipPool, weights: np.ndarray
) -> None:
    with pytest.raises(ValueError, match="weights"):
        Augmenter(pool, list_windows(pool)[:4], weights, seed=0)


def test_resampling_shifts_the_pitch_and_keeps_the_level() -> None:
    samples = 12_000
    sine = np.sin(2 * np.pi * 1000 * np.arange(samples) / SAMPLE_RATE_HZ).astype(np.float32)
    slower = effects.resample(sine, PATCH_SAMPLES)
    peak_hz = np.argmax(np.abs(np.fft.rfft(slower))) * SAMPLE_RATE_HZ / PATCH_SAMPLES
    assert peak_hz == pytest.approx(1000 * samples / PATCH_SAMPLES, abs=1)
    assert np.std(slower) == pytest.approx(np.std(sine), rel=0.01)


def test_coloured_noise_has_an_rms_of_one() -> None:
    rng, silence = np.random.default_rng(3), np.zeros(PATCH_SAMPLES, np.float32)
    levels = [
        np.std(effects.apply(silence, response=None, noise=effects.coloured_noise(rng))) for _ in range(30)
    ]
    assert np.mean(levels) == pytest.approx(1, abs=0.15)


def test_a_room_prolongs_a_click_without_adding_energy() -> None:
    rng, click = np.random.default_rng(0), np.zeros(PATCH_SAMPLES, np.float32)
    click[100] = 1
    for _ in range(20):
        reverberated = effects.apply(click, response=effects.room(rng), noise=None)
        assert np.abs(reverberated[:99]).max() < 1e-4
        assert np.abs(reverberated[101:]).max() > 1e-4
        assert np.sum(reverberated**2) <= 1.001


def test_equaliser_responses_are_finite_and_not_negative() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        response = effects.equaliser(rng)
        assert response.shape == (effects.BINS,)
        assert np.isfinite(response).all()
        assert (response >= 0).all()
