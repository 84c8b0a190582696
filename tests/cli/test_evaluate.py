"""``evaluate``: reports, thresholds, unreadable recordings, several bundles, and labels with times."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import run


@pytest.fixture
def labelled(tmp_path: Path, assets: Path) -> Path:
    """A folder with three labels."""
    folder = tmp_path / "labelled"
    for label, name in (("Speech", "speech"), ("Rain", "rain"), ("Rain", "thunder"), ("Siren", "siren")):
        (folder / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(assets / f"{name}.wav", folder / label)
    return folder


def report_of(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return document


def test_folder_gives_a_markdown_report(labelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate", labelled, "--resamples", 10) == 0
    output = capsys.readouterr()
    assert output.out.startswith("# Evaluation on labelled\n\n4 recordings, 3 labels.")
    assert "| Siren | 1 |" in output.out
    assert output.err == ""


def test_output_contains_report_json_and_plots(labelled: Path, tmp_path: Path, compact: Path) -> None:
    out = tmp_path / "new" / "out"
    options = ("--bundle", "compact", "--bundle", compact, "--resamples", 20, "--output", out)
    assert run("evaluate", labelled, *options) == 0
    document = report_of(out)
    first, second = document["models"]
    assert first == second
    assert (document["recordings"], document["failures"], document["source"]) == (4, [], "labelled")
    precision = first["measures"]["average_precision"]
    assert 0.5 < precision["low"] <= precision["value"] <= precision["high"] <= 1
    assert [one["label"] for one in first["classes"]] == ["Rain", "Siren", "Speech"]
    assert first["measures"]["open_top5"]["value"] >= 0.75
    pictures = {"classes.png", "reliability.png"} if find_spec("matplotlib") else set()
    assert {path.name for path in out.iterdir()} == {"report.json", "report.md"} | pictures


def test_unreadable_recordings_are_counted_named_and_left_out(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (labelled / "Rain" / "broken.wav").write_bytes(b"RIFF")
    table = tmp_path / "labels.csv"
    table.write_text(
        "path,label\nlabelled/Rain/broken.wav,Rain\nlabelled/Rain/rain.wav,/m/06mb1\nmissing.wav,Siren\n"
        "labelled/Rain/thunder.wav,Thunder;rain\n"
    )
    assert run("evaluate", table, "--resamples", 0) == 1
    output = capsys.readouterr()
    assert "2 recordings, 3 labels; 2 could not be read" in output.out
    assert output.out.count("broken.wav |") == output.err.count("broken.wav: ") == 1
    assert output.out.count("missing.wav |") == output.err.count("missing.wav: ") == 1
    assert "| Siren | 0 | – |" in output.out


def test_only_unreadable_recordings_are_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "labels.csv").write_text("path,label\nmissing.wav,Siren\n")
    assert run("evaluate", tmp_path / "labels.csv") == 2
    assert "none of the 1 recordings can be read" in capsys.readouterr().err


def test_suggested_thresholds_are_accepted_by_classify_and_timeline(
    labelled: Path, tmp_path: Path, assets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    thresholds = tmp_path / "thresholds.json"
    assert run("evaluate", labelled, "--resamples", 0, "--thresholds", thresholds) == 0
    values = json.loads(thresholds.read_text())["thresholds"]
    assert {*values} == {"/m/06mb1", "/m/03kmc9", "/m/09x0r"}
    capsys.readouterr()
    assert run("classify", assets / "siren.wav", "--thresholds", thresholds) == 0
    assert "Siren" in capsys.readouterr().out
    values["/m/03kmc9"] = 1
    thresholds.write_text(json.dumps({"thresholds": values}))
    assert run("classify", assets / "siren.wav", "--thresholds", thresholds) == 0
    assert "Siren\n" not in capsys.readouterr().out
    options = ("--thresholds", thresholds, "--threshold", 0.01, "--format", "csv")
    assert run("timeline", assets / "siren.wav", *options) == 0
    assert ",Siren," not in capsys.readouterr().out


def test_mapping_gives_right_classes(labelled: Path, tmp_path: Path) -> None:
    (labelled / "Rain").rename(labelled / "002 - weather")
    (tmp_path / "map.csv").write_text("label,class\n002 - weather,Rain;Thunder;Thunderstorm\n")
    options = ("--map", tmp_path / "map.csv", "--output", tmp_path, "--resamples", 0)
    assert run("evaluate", labelled, *options) == 0
    weather = report_of(tmp_path)["models"][0]["classes"][0]
    assert (weather["label"], weather["recordings"]) == ("002 - weather", 2)
    assert weather["classes"] == ["Rain", "Thunder", "Thunderstorm"]
    assert weather["measures"]["open_top5"]["value"] == 1


def test_labels_with_times_give_event_measures(tmp_path: Path, assets: Path) -> None:
    shutil.copy(assets / "siren.wav", tmp_path)
    shutil.copy(assets / "speech.wav", tmp_path)
    (tmp_path / "labels.csv").write_text(
        "path,label,start,end\nsiren.wav,Siren,0,8\nspeech.wav,Speech,0,12.8\nspeech.wav,Siren,0,1\n"
    )
    options = ("--output", tmp_path, "--resamples", 0, "--collar", 2)
    assert run("evaluate", tmp_path / "labels.csv", *options) == 0
    siren, speech = report_of(tmp_path)["models"][0]["classes"]
    assert siren["recordings"] == 2
    assert siren["measures"]["event_recall"]["value"] == 0.5
    assert speech["measures"]["event_recall"]["value"] == 1
    assert "F1 of events" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--resamples", -1), "--resamples: must be from 0"),
        (("--seed", -1), "--seed: must be at least 0"),
        (("--threshold", 2), "--threshold: must be a probability"),
        (("--window", 1, "--hop", 5), "--hop: must be at most the window"),
        (
            ("--bundle", "compact", "--bundle", "compact", "--thresholds", "t.json"),
            "--thresholds: needs exactly",
        ),
        (("--thresholds", "missing/t.json"), "--thresholds: the folder"),
        (("--map", "missing.csv"), "missing.csv"),
    ],
)
def test_invalid_option_is_refused(
    options: tuple[object, ...], message: str, labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("evaluate", labelled, *options) == 2
    assert message in capsys.readouterr().err


def test_option_out_of_range_for_times_is_not_a_failed_recording(
    tmp_path: Path, assets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(assets / "siren.wav", tmp_path)
    (tmp_path / "labels.csv").write_text("path,label,start,end\nsiren.wav,Siren,0,8\n")
    assert run("evaluate", tmp_path / "labels.csv", "--window", 20) == 2
    assert "--window: must be at most" in capsys.readouterr().err


def test_unknown_label_is_refused_with_the_mapping_as_hint(
    labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (labelled / "Siren").rename(labelled / "Sirenn")
    assert run("evaluate", labelled) == 2
    error = capsys.readouterr().err
    assert "LABELS: no class is called 'Sirenn'" in error
    assert "Or map the label to classes with --map." in error
