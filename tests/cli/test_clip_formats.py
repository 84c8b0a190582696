from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

import pytest

from audio_classifier.audio.warnings import AudioWarning
from audio_classifier.cli.clip_formats import FORMATS, ClassifiedClip, ClipReport, FailedClip, bar
from audio_classifier.errors import error_body
from audio_classifier.inference.selection import Prediction

RAIN = Prediction("/m/06mb1", "Rain", 0.75)
CAP = Prediction("/m/07qjznl", 'Tick-tock, "clock"', 0.015625)
GOOD = ClassifiedClip("a.wav", (RAIN, CAP))
BAD = FailedClip("b.wav", error_body("unreadable_audio", "not an audio file", "Use another one."))


def written(name: str, *outcomes: ClipReport) -> str:
    out = io.StringIO()
    FORMATS[name](iter(outcomes), out, single=len(outcomes) == 1)
    return out.getvalue()


def test_json_of_one_file_equals_the_originals_response() -> None:
    assert json.loads(written("json", GOOD)) == {
        "status": "ok",
        "predictions": [
            {"label_id": "/m/06mb1", "label": "Rain", "probability": 0.75},
            {"label_id": "/m/07qjznl", "label": 'Tick-tock, "clock"', "probability": 0.015625},
        ],
    }


def test_json_of_an_error_is_the_error_body() -> None:
    assert json.loads(written("json", BAD)) == {
        "status": "error",
        "code": "unreadable_audio",
        "message": "not an audio file",
        "hint": "Use another one.",
    }


def test_json_of_several_files_is_a_list_with_file_names() -> None:
    responses = json.loads(written("json", GOOD, BAD))
    assert [(response["file"], response["status"]) for response in responses] == [
        ("a.wav", "ok"),
        ("b.wav", "error"),
    ]


def test_json_of_several_files_is_written_incrementally() -> None:
    out, seen = io.StringIO(), []

    def outcomes() -> Iterator[ClipReport]:
        for outcome in (GOOD, BAD, GOOD):
            seen.append(out.getvalue().count('"file"'))
            yield outcome

    FORMATS["json"](outcomes(), out, single=False)
    assert seen == [0, 1, 2]
    assert out.getvalue() == json.dumps(json.loads(out.getvalue()), indent=2) + "\n"


def test_jsonl_has_a_response_per_line() -> None:
    responses = [json.loads(line) for line in written("jsonl", GOOD, BAD).splitlines()]
    assert responses == json.loads(written("json", GOOD, BAD))


def test_jsonl_is_written_incrementally() -> None:
    out = io.StringIO()

    def outcomes() -> Iterator[ClipReport]:
        yield GOOD
        assert json.loads(out.getvalue())["file"] == "a.wav"
        yield BAD

    FORMATS["jsonl"](outcomes(), out, single=False)
    assert len(out.getvalue().splitlines()) == 2


def test_csv_has_a_row_per_prediction() -> None:
    rows = list(csv.DictReader(io.StringIO(written("csv", GOOD, BAD))))
    assert rows == [
        {"file": "a.wav", "label_id": "/m/06mb1", "label": "Rain", "probability": "0.7500"},
        {"file": "a.wav", "label_id": "/m/07qjznl", "label": 'Tick-tock, "clock"', "probability": "0.0156"},
    ]


def test_response_has_warnings_only_if_there_are_any() -> None:
    warned = ClassifiedClip("a.wav", (RAIN,), (AudioWarning("clipped", "it is clipped", {"share": 0.5}),))
    assert warned.response()["warnings"] == [{"code": "clipped", "message": "it is clipped", "share": 0.5}]
    assert "warnings" not in GOOD.response()


def test_table_has_probability_bar_and_label() -> None:
    assert written("table", GOOD) == (
        '  75.0%  ██████████████████        Rain\n   1.6%  ▍                         Tick-tock, "clock"\n'
    )


def test_table_of_several_files_has_file_names() -> None:
    lines = written("table", GOOD, BAD, ClassifiedClip("c.wav", ())).splitlines()
    assert [line for line in lines if line.endswith(".wav")] == ["a.wav", "c.wav"]
    assert lines[-2].strip() == "no class reaches the threshold"


@pytest.mark.parametrize(
    ("probability", "drawn"),
    [(0, ""), (1, "█" * 24), (0.5, "█" * 12), (1 / 192, "▏"), (0.999, "█" * 24), (0.98, "█" * 23 + "▌")],
)
def test_bar_has_resolution_of_an_eighth(probability: float, drawn: str) -> None:
    assert bar(probability) == drawn.ljust(24)
