"""The output formats of ``timeline``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

import pytest

from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.batch.timelines import Analyzed
from audio_classifier.cli.event_formats import (
    FORMATS,
    RECORDING_FORMATS,
    AnalyzedRecording,
    FailedRecording,
    TimelineReport,
)
from audio_classifier.errors import DamagedAudioError
from audio_classifier.inference.sound_events import SoundEvent

EVENTS = [
    SoundEvent("/m/a", "Rain", 0.96, 7300.8, 0.875, 0.625),
    SoundEvent("/m/c", "Dog <bark> & co", 61.44, 3662.4, 0.75, 0.5),
]
NAME = "my recordings/a.wav"
CLOCK_NAME = "20240131_235900.WAV"
WARNING = AudioWarning("clipped", "the recording is clipped", {"share": 0.5})
FAULT = DamagedAudioError("it is damaged")


def report(
    name: str = NAME,
    events: Sequence[SoundEvent] = EVENTS,
    warnings: Sequence[AudioWarning] = (),
    error: DamagedAudioError | None = None,
) -> AnalyzedRecording:
    return AnalyzedRecording(Analyzed(name, [*events], [*warnings], 7300.8, error), 8000.0)


def written(form: str, *reports: TimelineReport) -> str:
    out = io.StringIO()
    given = reports or (report(),)
    if form in RECORDING_FORMATS:
        (one,) = given
        assert isinstance(one, AnalyzedRecording)
        RECORDING_FORMATS[form][0](one, out)
    else:
        FORMATS[form](iter(given), out, single=len(given) == 1)
    return out.getvalue()


def test_json_has_the_events_by_start() -> None:
    content = json.loads(written("json"))
    assert content["file"] == NAME
    assert [event["label"] for event in content["events"]] == ["Rain", "Dog <bark> & co"]
    assert content["events"][0] == {
        "label_id": "/m/a", "label": "Rain", "start_s": 0.96, "end_s": 7300.8, "peak": 0.875, "mean": 0.625
    }  # fmt: skip
    assert content.keys() == {"file", "events"}


def test_json_has_warnings_and_the_fault_that_ended_the_reading() -> None:
    content = json.loads(written("json", report(warnings=[WARNING], error=FAULT)))
    assert content["warnings"] == [{"code": "clipped", "message": "the recording is clipped", "share": 0.5}]
    assert (content["status"], content["message"]) == ("error", "it is damaged")
    assert len(content["events"]) == 2


def test_json_of_several_recordings_is_a_list() -> None:
    content = json.loads(written("json", report(), FailedRecording("b.wav", {"status": "error"})))
    assert [one["file"] for one in content] == [NAME, "b.wav"]
    assert json.loads(written("json", report(), report("b.wav", [])))[1]["events"] == []


def test_jsonl_has_a_line_per_event_and_error() -> None:
    failed = FailedRecording("b.wav", {"status": "error", "code": "x", "message": "y", "hint": ""})
    lines = [*map(json.loads, written("jsonl", report(error=FAULT), failed).splitlines())]
    assert [(line["file"], line.get("label"), line.get("message")) for line in lines] == [
        (NAME, "Rain", None),
        (NAME, "Dog <bark> & co", None),
        (NAME, None, "it is damaged"),
        ("b.wav", None, "y"),
    ]


@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "table"])
def test_events_have_the_clock_time_that_the_name_of_the_recording_states(form: str) -> None:
    text = written(form, report(CLOCK_NAME))
    assert "2024-01-31T23:59:00.960" in text
    assert "2024-02-01T00:00:01.440" in text
    assert "2024" not in written(form)


def test_raven_has_a_selection_per_event_over_the_model_s_frequencies() -> None:
    first, second = csv.DictReader(io.StringIO(written("raven")), delimiter="\t")
    assert first == {
        "Selection": "1",
        "View": "Spectrogram 1",
        "Channel": "1",
        "Begin Time (s)": "0.960",
        "End Time (s)": "7300.800",
        "Low Freq (Hz)": "0.0",
        "High Freq (Hz)": "8000.0",
        "Class": "Rain",
        "Score": "0.8750",
        "Begin Path": NAME,
    }
    assert (second["Selection"], second["Class"]) == ("2", "Dog <bark> & co")


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
    heading, first, second = written("table").splitlines()
    assert heading.split() == ["START", "END", "PEAK", "CLASS"]
    assert first == "00:00:00.9 - 02:01:40.8   87.5%  Rain"
    assert second.startswith("00:01:01.4 - ")


def test_table_of_several_recordings_names_them() -> None:
    lines = written("table", report(), report("b.wav", [])).splitlines()
    assert (lines[0], lines[-3:]) == (NAME, ["b.wav", "no sound events", ""])


@pytest.mark.parametrize("form", [*FORMATS, *RECORDING_FORMATS])
def test_recording_without_events_is_not_an_error(form: str) -> None:
    assert "Rain" not in written(form, report(events=[]))
