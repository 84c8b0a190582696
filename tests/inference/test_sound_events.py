from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from audio_classifier import AudioClassifier
from audio_classifier.errors import InvalidParameterError
from audio_classifier.inference.sound_events import (
    EventTracker,
    Hysteresis,
    SoundEvent,
    require_no_gaps,
    with_sound_events,
)
from audio_classifier.inference.windows import Window
from audio_classifier.model.labels import Label
from tests.support.sounds import encode

CLASSES = [Label(0, "/m/a", "Rain"), Label(2, "/m/c", "Dog")]


def make_windows(*probabilities: Sequence[float]) -> list[Window]:
    """Return a window per second, of three classes, of which the middle one is not tracked."""
    rows = [[first, 1.0, second] for first, second in zip(*probabilities, strict=True)]
    return [Window(i - 1.0, i + 2.0, [], i, i + 1.0, np.array(row, np.float32)) for i, row in enumerate(rows)]


def track(windows: list[Window], hysteresis: Hysteresis) -> list[SoundEvent]:
    tracker = EventTracker(CLASSES, hysteresis)
    return [event for window in windows for event in tracker.add(window)] + tracker.finish()


def event_times(probabilities: Sequence[float], **hysteresis: Any) -> list[tuple[float, float]]:
    windows = make_windows(probabilities, [0.0] * len(probabilities))
    return [(event.start_s, event.end_s) for event in track(windows, Hysteresis(**hysteresis))]


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ([], []),
        ([0.1, 0.2, 0.49], []),
        ([0.5], [(0, 1)]),
        ([0.0, 0.6, 0.3, 0.6, 0.0], [(1, 4)]),  # between threshold and release an event goes on
        ([0.0, 0.6, 0.2, 0.6, 0.0], [(1, 2), (3, 4)]),
        ([0.3, 0.6, 0.3, 0.3], [(1, 4)]),  # but does not begin
        ([0.9, 0.9], [(0, 2)]),
    ],
)
def test_event_lasts_from_threshold_to_release(
    probabilities: list[float], expected: list[tuple[float, float]]
) -> None:
    assert event_times(probabilities, threshold=0.5) == expected


def test_threshold_of_zero_makes_one_event_of_the_whole_recording() -> None:
    assert event_times([0.0, 0.9, 0.0], threshold=0) == [(0, 3)] * len(CLASSES)


def test_given_release_replaces_half_of_the_threshold() -> None:
    assert event_times([0.6, 0.3, 0.6], threshold=0.5, release=0.4) == [(0, 1), (2, 3)]


def test_events_shorter_than_the_minimum_are_omitted() -> None:
    assert event_times([0.6, 0, 0.6, 0.6, 0, 0.6], threshold=0.5, min_duration_s=2) == [(2, 4)]


def test_event_has_class_times_peak_and_mean() -> None:
    windows = make_windows([0.0, 0.5, 0.875, 0.0], [0.5, 0.5, 0.5, 0.75])
    first, second = track(windows, Hysteresis(0.5))
    assert first == SoundEvent("/m/a", "Rain", 1.0, 3.0, peak=0.875, mean=0.6875)
    assert second == SoundEvent("/m/c", "Dog", 0.0, 4.0, peak=0.75, mean=0.5625)


def test_event_is_returned_when_it_has_ended() -> None:
    tracker = EventTracker(CLASSES, Hysteresis(0.5))
    counts = [len(tracker.add(window)) for window in make_windows([0.6, 0.0, 0.0], [0.0, 0.0, 0.6])]
    assert counts == [0, 1, 0]
    assert [event.start_s for event in tracker.finish()] == [2]


def test_stream_has_each_event_after_the_window_that_ends_it() -> None:
    windows = make_windows([0.6, 0.0, 0.0], [0.0, 0.0, 0.6])
    items = list(with_sound_events((window for window in windows), CLASSES, Hysteresis(0.5)))
    assert [item for item in items if isinstance(item, Window)] == windows
    assert [type(item).__name__ for item in items] == [
        "Window",
        "Window",
        "SoundEvent",
        "Window",
        "SoundEvent",
    ]


@given(
    st.lists(st.sampled_from([0.0, 0.2, 0.25, 0.4, 0.5, 0.9]), max_size=30),
    st.sampled_from([0.2, 0.25, 0.4]),
    st.integers(0, 3),
)
def test_events_equal_those_of_the_definition(
    probabilities: list[float], release: float, min_duration_s: int
) -> None:
    release32, runs, start = np.float32(release), [], None
    for i, probability in enumerate([*probabilities, 0.0]):
        if start is not None and np.float32(probability) < release32:
            runs.append((float(start), float(i)))
            start = None
        elif start is None and probability >= 0.5:
            start = i
    expected = [(start_s, end_s) for start_s, end_s in runs if end_s - start_s >= min_duration_s]
    times = event_times(probabilities, threshold=0.5, release=float(release32), min_duration_s=min_duration_s)
    assert times == expected


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        ({"threshold": -0.1}, "threshold"),
        ({"threshold": 1.1}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"release": -0.1}, "release"),
        ({"threshold": 0.5, "release": 0.6}, "release"),
        ({"min_duration_s": -1}, "min_duration_s"),
        ({"min_duration_s": float("inf")}, "min_duration_s"),
    ],
)
def test_hysteresis_names_the_value_that_is_out_of_range(arguments: dict[str, float], parameter: str) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        Hysteresis(**arguments)
    assert caught.value.parameter == parameter


def test_gaps_between_windows_are_refused() -> None:
    require_no_gaps(1.92, 1.92)
    with pytest.raises(InvalidParameterError, match=r"hop_s: must be at most the window, 1\.92 s"):
        require_no_gaps(1.92, 2.88)


def test_events_cover_the_parts_of_a_recording_that_contain_the_class(
    classifier: AudioClassifier, assets: Path
) -> None:
    """Rain for 10 s, then silence for 20 s, then rain again."""
    rain, rate_hz = soundfile.read(assets / "rain.wav", dtype="float32")
    content = encode(np.concatenate([rain, np.zeros(20 * rate_hz, np.float32), rain]), rate_hz)
    first, second = (event for event in classifier.events(content, labels=["Rain"]) if event.peak > 0.5)
    assert first.start_s == 0
    assert second.end_s == pytest.approx(39.8, abs=1)
    # Up to two thirds of a window of rain may be silence.
    assert first.end_s == pytest.approx(10, abs=2)
    assert second.start_s == pytest.approx(30, abs=2)


def test_statistics_of_an_event_are_those_of_its_windows(classifier: AudioClassifier, minute: bytes) -> None:
    labels = ["Speech", "Music"]
    windows = list(classifier.timeline(minute, top_k=None, labels=labels))
    hysteresis = Hysteresis(threshold=1e-9, release=1e-9)
    events = list(classifier.events(minute, window_s=9.6, hop_s=9.6, hysteresis=hysteresis, labels=labels))
    assert {(event.start_s, event.end_s) for event in events} == {(0.0, 59.52)}
    for event in events:
        probabilities = [
            prediction.probability
            for window in windows
            for prediction in window.predictions
            if prediction.label == event.label
        ]
        assert event.peak == pytest.approx(max(probabilities))
        assert event.mean == pytest.approx(np.mean(probabilities))
