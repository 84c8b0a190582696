"""Measures over recordings: top classes, intervals, events, and cases without a value."""

from __future__ import annotations

import math

import numpy as np
import pytest

from audio_classifier.evaluation import estimates
from audio_classifier.evaluation.estimates import Results, estimate


def results(scores: list[list[float]], present: list[list[int]], **changes: np.ndarray) -> Results:
    shape = np.shape(scores)
    values = {
        "among_top": np.zeros((shape[0], 2, shape[1]), np.bool_),
        "events": np.zeros((shape[0], 3, shape[1]), np.int64),
        **changes,
    }
    return Results(np.array(present, np.bool_), np.array(scores, np.float32), **values)


def test_recording_is_right_if_any_label_is_first_and_class_only_for_itself() -> None:
    found = results([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.9, 0.5, 0.1]], [[1, 1, 0], [0, 0, 1], [0, 0, 0]])
    overall, classes = estimate(found, has_times=False, resamples=0, seed=0)
    assert overall["closed_top1"].value == 0.5  # recordings without labels do not count
    assert [one["closed_top1"].value for one in classes] == [1, 0, 0]
    assert "closed_top5" not in overall  # always right with three targets


def test_open_measures_count_targets_among_the_top_of_all_classes() -> None:
    among_top = np.array([[[1, 0], [1, 0]], [[0, 0], [0, 1]]], np.bool_)
    found = results([[0.9, 0.1], [0.2, 0.1]], [[1, 0], [0, 1]], among_top=among_top)
    overall, classes = estimate(found, has_times=False, resamples=0, seed=0)
    assert (overall["open_top1"].value, overall["open_top5"].value) == (0.5, 1)
    assert [one["open_top1"].value for one in classes] == [1, 0]


def test_event_measures_are_sums_over_recordings() -> None:
    events = np.array([[[1], [2], [1]], [[1], [1], [3]]])
    found = results([[0.9], [0.1]], [[1], [1]], events=events)
    overall, _ = estimate(found, has_times=True, resamples=0, seed=0)
    assert overall["event_precision"].value == pytest.approx(2 / 3)
    assert overall["event_recall"].value == pytest.approx(2 / 4)
    assert overall["event_f1"].value == pytest.approx(4 / 7)


def test_intervals_contain_the_value_shrink_with_recordings_and_depend_only_on_the_seed() -> None:
    def width(count: int) -> float:
        rng = np.random.default_rng(0)
        present = rng.random((count, 2)) < 0.5
        found = results((present * 0.3 + rng.random((count, 2)) / 2).tolist(), present.tolist())
        overall, _ = estimate(found, has_times=False, resamples=200, seed=3)
        assert estimate(found, has_times=False, resamples=200, seed=3)[0] == overall
        one = overall["auc"]
        assert one.low <= one.value <= one.high
        return one.high - one.low

    assert width(400) < width(40) / 2


def test_interval_of_a_share_equals_the_binomial_one() -> None:
    present = [[1, 0]] * 100
    found = results([[0.9, 0.1]] * 80 + [[0.1, 0.9]] * 20, present)
    one = estimate(found, has_times=False, resamples=2000, seed=0)[0]["closed_top1"]
    assert one.value == pytest.approx(0.8)
    assert (one.low, one.high) == pytest.approx((0.72, 0.87), abs=0.015)


def test_resamples_in_pieces_equal_those_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = results([[0.9], [0.4], [0.6]], [[1], [0], [0]])
    at_once = estimate(found, has_times=False, resamples=50, seed=1)
    monkeypatch.setattr(estimates, "MAX_WEIGHTS", 1)
    assert estimate(found, has_times=False, resamples=50, seed=1) == at_once


def test_measures_without_recordings_of_a_kind_are_nan_and_left_out_of_means() -> None:
    found = results([[0.9, 0.1], [0.1, 0.9]], [[1, 0], [0, 0]])
    overall, classes = estimate(found, has_times=False, resamples=20, seed=0)
    assert overall["average_precision"].value == 1
    assert math.isnan(classes[1]["average_precision"].value)
    assert math.isnan(classes[1]["closed_top1"].value)
    assert math.isnan(classes[1]["closed_top1"].low)


def test_single_recording_with_all_targets_has_measures() -> None:
    overall, _ = estimate(results([[0.5]], [[1]]), has_times=False, resamples=5, seed=0)
    assert overall["average_precision"].value == 1
    assert math.isnan(overall["auc"].value)
