"""Windows become events; events become text that other programs read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_classifier.cli.event_formats import TRACKS
from audio_classifier.errors import InvalidParameterError
from audio_classifier.inference.sound_events import EventTracker, Hysteresis, SoundEvent
from audio_classifier.inference.windows import Window
from audio_classifier.model.labels import Label

LABELS = [Label(0, "/m/a", "Rain"), Label(2, "/m/c", "Dog <bark> & co")]


def windows(*columns: Sequence[float]) -> list[Window]:
    """A window each second, of three classes, of which the middle one is not asked for."""
    rows = [[first, 1.0, second] for first, second in zip(*columns, strict=True)]
    return [Window(i - 1.0, i + 2.0, [], i, i + 1.0, np.array(row, np.float32)) for i, row in enumerate(rows)]


def track(heard: list[Window], hysteresis: Hysteresis) -> list[SoundEvent]:
    tracker = EventTracker(LABELS, hysteresis)
    return [event for window in heard for event in tracker.add(window)] + tracker.finish()


def events_of(probabilities: Sequence[float], **hysteresis: Any) -> list[tuple[float, float]]:
    heard = windows(probabilities, [0.0] * len(probabilities))
    return [(event.start_s, event.end_s) for event in track(heard, Hysteresis(**hysteresis))]


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ([], []),
        ([0.1, 0.2, 0.49], []),
        ([0.5], [(0, 1)]),
        ([0.0, 0.6, 0.3, 0.6, 0.0], [(1, 4)]),  # in between it is less sure, but not gone
        ([0.0, 0.6, 0.2, 0.6, 0.0], [(1, 2), (3, 4)]),
        ([0.3, 0.6, 0.3, 0.3], [(1, 4)]),  # before it begins, as sure as that is not enough
        ([0.9, 0.9], [(0, 2)]),
    ],
)
def test_hysteresis(probabilities: list[float], expected: list[tuple[float, float]]) -> None:
    assert events_of(probabilities, threshold=0.5) == expected


def test_threshold_of_zero_makes_one_event_of_the_whole_recording() -> None:
    assert events_of([0.0, 0.9, 0.0], threshold=0) == [(0, 3)]


def test_release_may_be_given() -> None:
    assert events_of([0.6, 0.3, 0.6], threshold=0.5, release=0.4) == [(0, 1), (2, 3)]


def test_short_events_are_left_out() -> None:
    assert events_of([0.6, 0, 0.6, 0.6, 0, 0.6], threshold=0.5, min_duration_s=2) == [(2, 4)]


def test_an_event_tells_its_class_its_peak_and_its_mean() -> None:
    heard = windows([0.0, 0.5, 0.875, 0.0], [0.5, 0.5, 0.5, 0.75])
    first, second = track(heard, Hysteresis(0.5))
    assert first == SoundEvent("/m/a", "Rain", 1.0, 3.0, peak=0.875, mean=0.6875)
    assert second == SoundEvent("/m/c", "Dog <bark> & co", 0.0, 4.0, peak=0.75, mean=0.5625)


def test_events_come_when_they_have_ended() -> None:
    tracker = EventTracker(LABELS, Hysteresis(0.5))
    given = [len(tracker.add(window)) for window in windows([0.6, 0.0, 0.0], [0.0, 0.0, 0.6])]
    assert given == [0, 1, 0]
    assert [event.start_s for event in tracker.finish()] == [2]


@given(
    st.lists(st.sampled_from([0.0, 0.2, 0.25, 0.4, 0.5, 0.9]), max_size=30),
    st.sampled_from([0.2, 0.25, 0.4]),
    st.integers(0, 3),
)
def test_events_are_runs_that_begin_high_and_stay_up(
    probabilities: list[float], release: float, shortest: int
) -> None:
    """Against the definition, window by window."""
    release32, expected, start = np.float32(release), [], None
    for i, probability in enumerate([*probabilities, 0.0]):
        if start is not None and np.float32(probability) < release32:
            expected.append((float(start), float(i)))
            start = None
        elif start is None and probability >= 0.5:
            start = i
    wanted = [event for event in expected if event[1] - event[0] >= shortest]
    assert (
        events_of(probabilities, threshold=0.5, release=float(release32), min_duration_s=shortest) == wanted
    )


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
def test_what_cannot_be_is_refused(arguments: dict[str, float], parameter: str) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        Hysteresis(**arguments)
    assert caught.value.parameter == parameter


EVENTS = [
    SoundEvent("/m/c", "Dog <bark> & co", 61.44, 3662.4, 0.75, 0.5),
    SoundEvent("/m/a", "Rain", 0.96, 7300.8, 0.875, 0.625),
]


def written(form: str, events: Sequence[SoundEvent] = EVENTS) -> str:
    out = io.StringIO()
    TRACKS[form](iter(events), out, "my sounds/a.wav")
    return out.getvalue()


def test_json_has_them_by_their_start() -> None:
    content = json.loads(written("json"))
    assert content["file"] == "my sounds/a.wav"
    assert [event["label"] for event in content["events"]] == ["Rain", "Dog <bark> & co"]
    assert content["events"][0] == {
        "label_id": "/m/a", "label": "Rain", "start_s": 0.96, "end_s": 7300.8, "peak": 0.875, "mean": 0.625
    }  # fmt: skip


def test_json_lines_have_them_as_they_come() -> None:
    first, second = map(json.loads, written("jsonl").splitlines())
    assert (first["label"], second["label"]) == ("Dog <bark> & co", "Rain")
    assert first["file"] == "my sounds/a.wav"


def test_csv() -> None:
    first, second = csv.DictReader(io.StringIO(written("csv")))
    assert (first["label"], first["start_s"], first["peak"]) == ("Rain", "0.96", "0.875")
    assert second["file"] == "my sounds/a.wav"


def test_audacity_reads_tabs() -> None:
    assert written("audacity") == "0.960000\t7300.800000\tRain\n61.440000\t3662.400000\tDog <bark> & co\n"


def test_players_read_cues() -> None:
    assert written("vtt") == (
        "WEBVTT\n\n00:00:00.960 --> 02:01:40.800\nRain\n\n"
        "00:01:01.440 --> 01:01:02.400\nDog &lt;bark&gt; &amp; co\n"
    )


def test_rttm_has_ten_fields() -> None:
    lines = [line.split(" ") for line in written("rttm").splitlines()]
    assert [len(line) for line in lines] == [10, 10]
    assert " ".join(lines[1]) == (
        "SPEAKER my_sounds/a.wav 1 61.440 3600.960 <NA> <NA> Dog_<bark>_&_co 0.500 <NA>"
    )


def test_the_table_says_when_and_what() -> None:
    assert written("table").splitlines()[1] == "00:00:00.9 - 02:01:40.8   87.5%  Rain"


@pytest.mark.parametrize("form", ["json", "csv", "audacity", "vtt", "rttm", "jsonl", "table"])
def test_nothing_heard_is_no_error(form: str) -> None:
    assert "Rain" not in written(form, [])
