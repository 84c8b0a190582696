"""Reliability, expected calibration error and suggested thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from audio_classifier.evaluation.calibration import (
    expected_calibration_error,
    reliability,
    suggest_threshold,
)


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_bins_contain_mean_probability_and_frequency() -> None:
    bins = reliability(floats(0.05, 0.15, 0.95, 1.0), np.array([False, True, True, True]))
    assert [(bin_.low, bin_.count, bin_.present) for bin_ in bins] == [(0, 1, 0), (0.1, 1, 1), (0.9, 2, 1)]
    assert bins[2].probability == pytest.approx(0.975)
    assert expected_calibration_error(bins) == pytest.approx((0.05 + 0.85 + 2 * 0.025) / 4)


def test_threshold_separates_classes_halfway() -> None:
    found = suggest_threshold(floats(0.9, 0.8, 0.2, 0.1), np.array([True, True, False, False]))
    assert found is not None
    assert (found.threshold, found.precision, found.recall, found.f1) == (0.5, 1, 1, 1)


def test_threshold_has_the_highest_f1() -> None:
    rng = np.random.default_rng(0)
    scores = (rng.integers(0, 20, 50) / 20).astype(np.float32)
    present = rng.random(50) < scores
    found = suggest_threshold(scores, present)
    assert found is not None

    def f1(threshold: float) -> float:
        chosen = scores >= threshold
        return 2 * int((chosen & present).sum()) / int(chosen.sum() + present.sum())

    assert f1(found.threshold) == pytest.approx(found.f1)
    assert found.f1 == pytest.approx(max(f1(float(score)) for score in scores))


def test_neighbouring_floats_are_separated() -> None:
    low, high = 0.5, float(np.nextafter(np.float32(0.5), np.float32(1)))
    found = suggest_threshold(floats(high, low), np.array([True, False]))
    assert found is not None
    assert low < found.threshold <= high


def test_class_without_recordings_has_no_threshold() -> None:
    assert suggest_threshold(floats(0.1, 0.2), np.array([False, False])) is None


def test_class_in_all_recordings_has_a_threshold_below_all_scores() -> None:
    found = suggest_threshold(floats(0.4, 0.2), np.array([True, True]))
    assert found is not None
    assert 0 < found.threshold <= 0.2
