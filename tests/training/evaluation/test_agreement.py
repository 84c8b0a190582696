"""Measures of agreement with the teacher."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.agreement import agreement, compare


def test_agreement_is_complete_for_equal_scores() -> None:
    scores = np.random.default_rng(0).random((20, 30)).astype(np.float32)
    same = agreement(scores, scores)
    assert (same.count, same.top1, same.top5) == (20, 1, 1)
    assert same.cosine == pytest.approx(1)


def test_agreement_counts_equal_top_classes_and_the_top_five_overlap() -> None:
    teacher = np.tile(np.arange(10, 0, -1), (2, 1)).astype(np.float32)
    scores = teacher.copy()
    # For the second input, the fifth class ranks first, and the first is not among the top five.
    scores[1] = [0, 9, 8, 7, 10, 6, 5, 4, 3, 2]
    measured = agreement(scores, teacher)
    assert measured.top1 == 0.5
    assert measured.top5 == pytest.approx((5 + 4) / 10)


def test_cosine_is_zero_for_disjoint_classes() -> None:
    assert agreement(np.eye(6, dtype=np.float32)[:3], np.eye(6, dtype=np.float32)[3:]).cosine == 0


def test_comparison_also_measures_agreement_without_common_classes() -> None:
    names = ["Speech", "Bell", "Music", "Silence", "Rain", "Wind"]
    teacher = np.eye(6, dtype=np.float32)
    scores = teacher.copy()
    scores[1] = teacher[4]
    compared = compare(scores, teacher, names)
    assert (compared.overall.count, compared.others.count) == (6, 3)
    assert compared.overall.top1 == pytest.approx(5 / 6)
    assert compared.others.top1 == pytest.approx(2 / 3)
    assert "without Speech, Music, Silence: top-1 0.667" in str(compared)


def test_agreement_of_no_inputs_is_not_a_number() -> None:
    empty = np.empty((0, 5), np.float32)
    assert np.isnan(agreement(empty, empty).top1)
