"""Agreement is counted as it says."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.agreement import agreement, compare


def test_agreement_with_itself_is_whole() -> None:
    scores = np.random.default_rng(0).random((20, 30)).astype(np.float32)
    same = agreement(scores, scores)
    assert (same.sounds, same.top1, same.top5) == (20, 1, 1)
    assert same.cosine == pytest.approx(1)


def test_first_classes_and_first_five_are_counted() -> None:
    teacher = np.tile(np.arange(10, 0, -1), (2, 1)).astype(np.float32)
    scores = teacher.copy()
    # The second sound: the fifth class is first, the first is not among the first five.
    scores[1] = [0, 9, 8, 7, 10, 6, 5, 4, 3, 2]
    counted = agreement(scores, teacher)
    assert counted.top1 == 0.5
    assert counted.top5 == pytest.approx((5 + 4) / 10)


def test_scores_of_other_classes_have_no_angle_in_common() -> None:
    assert agreement(np.eye(6, dtype=np.float32)[:3], np.eye(6, dtype=np.float32)[3:]).cosine == 0


def test_common_classes_are_counted_apart() -> None:
    names = ["Speech", "Bell", "Music", "Silence", "Rain", "Wind"]
    teacher = np.eye(6, dtype=np.float32)
    scores = teacher.copy()
    scores[1] = teacher[4]
    compared = compare(scores, teacher, names)
    assert (compared.overall.sounds, compared.others.sounds) == (6, 3)
    assert compared.overall.top1 == pytest.approx(5 / 6)
    assert compared.others.top1 == pytest.approx(2 / 3)
    assert "without Speech, Music, Silence: top-1 0.667" in str(compared)


def test_nothing_agrees_with_nothing() -> None:
    empty = np.empty((0, 5), np.float32)
    assert np.isnan(agreement(empty, empty).top1)
