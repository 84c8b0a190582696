"""Average precision, AUC and d': hand-made cases, ties and weights."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from audio_classifier.evaluation.ranking import average_precision_and_auc, d_prime, mean_of_known


def measured(
    scores: list[float], present: list[int], weights: list[int] | None = None
) -> tuple[float, float]:
    rows = np.array([weights or [1] * len(scores)])
    precision, auc = average_precision_and_auc(np.array(scores, np.float32), np.array(present, bool), rows)
    return float(precision[0]), float(auc[0])


@pytest.mark.parametrize(
    ("scores", "present", "precision", "auc"),
    [
        ([0.9, 0.8, 0.1], [1, 1, 0], 1, 1),
        ([0.9, 0.8, 0.1], [0, 0, 1], 1 / 3, 0),
        ([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0], (1 + 2 / 3) / 2, 0.75),
        ([0.5, 0.5, 0.5, 0.5], [1, 0, 0, 0], 0.25, 0.5),  # equal scores have no order
        ([0.9, 0.5, 0.5, 0.1], [0, 1, 0, 1], (1 / 3 + 2 / 4) / 2, 0.125),
    ],
)
def test_measures_equal_hand_made_values(
    scores: list[float], present: list[int], precision: float, auc: float
) -> None:
    assert measured(scores, present) == pytest.approx((precision, auc))


def test_weights_equal_repeated_recordings() -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 8, 40) / 8
    present = rng.integers(0, 2, 40)
    weights = rng.integers(0, 4, 40)
    repeated = measured(np.repeat(scores, weights).tolist(), np.repeat(present, weights).tolist())
    assert measured(scores.tolist(), present.tolist(), weights.tolist()) == pytest.approx(repeated)


def test_auc_is_share_of_pairs_in_right_order() -> None:
    rng = np.random.default_rng(1)
    scores, present = rng.integers(0, 10, 60) / 10, rng.integers(0, 2, 60).astype(bool)
    pairs = scores[present][:, np.newaxis] - scores[~present]
    _, auc = measured(scores.tolist(), present.tolist())
    assert auc == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())


@pytest.mark.parametrize(("present", "defined"), [([0, 0], (False, False)), ([1, 1], (True, False))])
def test_measures_are_nan_without_recordings_of_a_kind(
    present: list[int], defined: tuple[bool, bool]
) -> None:
    values = measured([0.1, 0.2], present)
    assert tuple(not math.isnan(value) for value in values) == defined


def test_d_prime_is_distance_between_normal_distributions() -> None:
    # The difference of two samples is normally distributed with variance 2.
    assert d_prime(NormalDist(2, math.sqrt(2)).cdf(0)) == pytest.approx(-2)
    assert d_prime(NormalDist(0, math.sqrt(2)).cdf(2)) == pytest.approx(2)
    assert d_prime(0.5) == 0
    assert d_prime(1) == math.inf
    assert d_prime(0) == -math.inf
    assert math.isnan(d_prime(math.nan))


def test_mean_skips_nan() -> None:
    assert mean_of_known(np.array([[1, math.nan, 3], [math.nan] * 3]))[0] == 2
    assert math.isnan(mean_of_known(np.array([[math.nan, math.nan]]))[0])
