from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence

import pytest

from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.cli.event_formats import FORMATS, SoundEvents
from audio_classifier.inference.sound_events import SoundEvent

# In the order in which they end.
EVENTS = [
    SoundEvent("/m/c", "Dog <bark> & co", 61.44, 3662.4, 0.75, 0.5),
    SoundEvent("/m/a", "Rain", 0.96, 7300.8, 0.875, 0.625),
]


def written(name: str, events: Sequence[SoundEvent] = EVENTS) -> str:
    out = io.StringIO()
    FORMATS[name](SoundEvents(events), out, "my recordings/a.wav")
    return out.getvalue()


def test_json_has_the_events_by_start() -> None:
    content = json.loads(written("json"))
    assert content["file"] == "my recordings/a.wav"
    assert [event["label"] for event in content["events"]] == ["Rain", "Dog <bark> & co"]
    assert content["events"][0] == {
        "label_id": "/m/a", "label": "Rain", "start_s": 0.96, "end_s": 7300.8, "peak": 0.875, "mean": 0.625
    }  # fmt: skip


def test_json_has_the_warnings_that_follow_the_events() -> None:
    warning = AudioWarning("clipped", "the recording is clipped", {"share": 0.5})
    reported: list[AudioWarning] = []
    out = io.StringIO()
    FORMATS["json"](SoundEvents([*EVENTS, warning], reported.append), out, "a.wav")
    assert json.loads(out.getvalue())["warnings"] == [
        {"code": "clipped", "message": "the recording is clipped", "share": 0.5}
    ]
    assert reported == [warning]
    assert "warnings" not in json.loads(written("json"))


def test_jsonl_has_the_events_as_they_end() -> None:
    first, second = map(json.loads, written("jsonl").splitlines())
    assert (first["label"], second["label"]) == ("Dog <bark> & co", "Rain")
    assert first["file"] == "my recordings/a.wav"


@pytest.mark.parametrize("name", ["jsonl", "table"])
def test_streamed_format_is_written_incrementally(name: str) -> None:
    out = io.StringIO()

    def events() -> Iterator[SoundEvent]:
        yield EVENTS[0]
        assert "Dog <bark> & co" in out.getvalue()
        yield EVENTS[1]

    FORMATS[name](SoundEvents(events()), out, "a.wav")
    assert len(out.getvalue().splitlines()) == 2


def test_csv_has_a_row_per_event_by_start() -> None:
    first, second = csv.DictReader(io.StringIO(written("csv")))
    assert (first["label"], first["start_s"], first["peak"]) == ("Rain", "0.96", "0.8750")
    assert second["file"] == "my recordings/a.wav"


def test_audacity_has_tab_separated_columns() -> None:
    assert written("audacity") == "0.960000\t7300.800000\tRain\n61.440000\t3662.400000\tDog <bark> & co\n"


def test_vtt_has_a_cue_per_event() -> None:
    assert written("vtt") == (
        "WEBVTT\n\n00:00:00.960 --> 02:01:40.800\nRain\n\n"
        "00:01:01.440 --> 01:01:02.400\nDog &lt;bark&gt; &amp; co\n"
    )


def test_rttm_has_ten_fields() -> None:
    lines = [line.split(" ") for line in written("rttm").splitlines()]
    assert [len(line) for line in lines] == [10, 10]
    assert " ".join(lines[1]) == (
        "SPEAKER my_recordings/a.wav 1 61.440 3600.960 <NA> <NA> Dog_<bark>_&_co 0.500 <NA>"
    )


def test_table_has_times_peak_and_label() -> None:
    assert written("table").splitlines()[1] == "00:00:00.9 - 02:01:40.8   87.5%  Rain"


@pytest.mark.parametrize("name", FORMATS)
def test_recording_without_events_is_not_an_error(name: str) -> None:
    assert "Rain" not in written(name, [])
