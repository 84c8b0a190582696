from __future__ import annotations

import math

import numpy as np
import pytest

from audio_classifier.own_classes.measures import measure, share


def test_share_has_wilsons_interval_of_the_number_of_recordings() -> None:
    hits = np.array([True] * 8 + [False] * 2)
    estimate = share(hits, np.arange(10))
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((0.8, 0.4902, 0.9433), abs=1e-4)
    same = share(np.repeat(hits, 7), np.repeat(np.arange(10), 7))
    assert (same.value, same.low, same.high) == pytest.approx((0.8, 0.4902, 0.9433), abs=1e-4)
    certain = share(np.array([True, True]), np.array([0, 1]))
    assert (certain.value, certain.high) == (1, 1)
    assert certain.low < 0.4
    assert math.isnan(share(np.zeros(0, bool), np.zeros(0, int)).value)


def test_without_negatives_the_most_probable_class_is_predicted() -> None:
    present = np.eye(2, dtype=bool)[[0, 0, 1, 1]]
    scores = np.array([[0.9, 0.1], [0.2, 0.3], [0.1, 0.8], [0.0, 0.1]], np.float32)
    found = measure(scores, present, ["a", "b", "c", "d"], np.array([True, True]), seed=0)
    assert found.accuracy.value == 0.75
    assert found.confusion.tolist() == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    assert found.false_alarms is None
    assert found.errors.argmax() == 3


def test_with_negatives_no_class_is_predicted_below_all_thresholds() -> None:
    present = np.zeros((6, 2), bool)
    present[[0, 1], 0] = present[[2, 3], 1] = True
    scores = np.array([[0.9, 0.1], [0.8, 0.1], [0.1, 0.7], [0.1, 0.6], [0.3, 0.2], [0.85, 0.1]], np.float32)
    found = measure(scores, present, [*"abcdef"], np.array([True, True]), seed=0)
    assert found.predicted.tolist() == [0, 0, 1, 1, 2, 0]
    assert found.confusion.tolist() == [[2, 0, 0], [0, 2, 0], [1, 0, 1]]
    assert found.false_alarms is not None
    assert found.false_alarms.value == 0.5
    first, second = found.classes
    assert first is not None
    assert second is not None
    assert (first.recall.value, second.precision.value) == (1, 1)
    assert first.precision.value == pytest.approx(2 / 3)


def test_examples_with_several_labels_are_not_in_the_confusion_matrix() -> None:
    present = np.array([[True, True], [True, False], [False, True]])
    scores = np.array([[0.9, 0.8], [0.9, 0.1], [0.1, 0.9]], np.float32)
    found = measure(scores, present, [*"abc"], np.array([True, True]), seed=0)
    assert found.confusion.sum() == 2
    assert found.accuracy.value == found.mean_average_precision.value == 1


def test_class_in_one_group_is_not_measured() -> None:
    present = np.eye(2, dtype=bool)[[0, 0, 1, 1]]
    scores = np.array([[0.9, 0.1], [0.7, 0.3], [0.1, 0.0], [0.0, 0.0]], np.float32)
    found = measure(scores, present, [*"abcd"], np.array([True, False]), seed=0)
    assert found.classes[1] is None
    assert found.mean_average_precision.value == 1
