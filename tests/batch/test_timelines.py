"""Timelines of many recordings: results are stored, runs resume, and recordings may be in S3."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import run
from tests.support.processes import start_interruptible
from tests.support.sounds import busy, encode

COMMAND = (sys.executable, "-m", "audio_classifier", "timeline")


@pytest.fixture
def folder(tmp_path: Path, assets: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three recordings in two folders, two with the same name; the working folder is the one above."""
    monkeypatch.chdir(tmp_path)
    for name, sound in (("monday/a.wav", "siren"), ("tuesday/a.wav", "thunder"), ("tuesday/b.wav", "rain")):
        path = tmp_path / "recordings" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((assets / f"{sound}.wav").read_bytes())
    return Path("recordings")


def labels(result: dict[str, Any]) -> set[str]:
    return {event["label"] for event in result["events"]}


@pytest.mark.parametrize("output", ["out", "events.jsonl"])
def test_events_are_stored_and_the_next_run_resumes(
    folder: Path, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("timeline", folder, "--output", output) == 0
    error = capsys.readouterr().err
    assert "3 analyzed, 0 already stored, 0 failed, in " in error
    assert re.search(r"^ +\d\.\d +1 +\d  Siren$", error, re.MULTILINE)
    if output == "out":
        paths = sorted(Path("out").rglob("*.json"))
        assert [path.as_posix() for path in paths] == [
            "out/recordings/monday/a.wav.events.json",
            "out/recordings/tuesday/a.wav.events.json",
            "out/recordings/tuesday/b.wav.events.json",
        ]
        results = [json.loads(path.read_text()) for path in paths]
    else:
        results = [json.loads(line) for line in Path(output).read_text().splitlines()]
    assert "Siren" in labels(results[0])
    assert "Thunder" in labels(results[1])
    assert results[0]["source"]["file"] == "recordings/monday/a.wav"
    assert results[0]["parameters"]["window"] == 2.88
    assert run("timeline", folder, "--output", output) == 0
    assert "0 analyzed, 3 already stored, 0 failed" in capsys.readouterr().err
    assert run("timeline", folder, "--output", output, "--threshold", "0.5") == 0
    assert "3 analyzed, 0 already stored, 0 failed" in capsys.readouterr().err


def test_unusable_recording_is_an_error_and_the_others_are_analyzed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.wav").write_bytes(b"RIFF")
    assert run("timeline", folder, "--format", "jsonl") == 1
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert [line["code"] for line in lines if "code" in line] == ["unreadable_audio"]
    assert {line["file"] for line in lines} == {
        f"recordings/{name}" for name in ("broken.wav", "monday/a.wav", "tuesday/a.wav", "tuesday/b.wav")
    }
    assert "3 analyzed, 1 failed" in captured.err
    assert run("timeline", folder, "--output", "out") == 1
    assert run("timeline", folder, "--output", "out") == 1
    assert "4 already stored (1 of them errors)" in capsys.readouterr().err


def test_objects_are_analyzed_and_their_events_stored_in_s3(
    s3: Any, assets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    s3.create_bucket(Bucket="recordings")
    s3.create_bucket(Bucket="results")
    s3.upload_file(str(assets / "siren.wav"), "recordings", "in/20240131_063000.wav")
    arguments = ("timeline", "s3://recordings/in/", "--output", "s3://results/events/")
    assert run(*arguments) == 0
    key = "events/recordings/in/20240131_063000.wav.events.json"
    result = json.loads(s3.get_object(Bucket="results", Key=key)["Body"].read())
    assert "Siren" in labels(result)
    assert result["events"][0]["time"].startswith("2024-01-31T06:30:0")
    assert run(*arguments) == 0
    assert "0 analyzed, 1 already stored" in capsys.readouterr().err


@pytest.mark.parametrize(("form", "suffix"), [("raven", ".selections.txt"), ("vtt", ".vtt")])
def test_file_of_another_program_is_stored_for_each_recording(
    folder: Path, capsys: pytest.CaptureFixture[str], form: str, suffix: str
) -> None:
    arguments = ("timeline", folder, "--output", "out", "--format", form)
    assert run(*arguments) == 0
    table = Path("out/recordings/monday") / f"a.wav{suffix}"
    assert "Siren" in table.read_text()
    assert run(*arguments) == 0
    assert "3 already stored" in capsys.readouterr().err
    table.unlink()
    assert run(*arguments) == 0
    assert "1 analyzed, 2 already stored" in capsys.readouterr().err
    assert "Siren" in table.read_text()


def test_selection_table_names_the_recording_by_a_path_that_exists(folder: Path, tmp_path: Path) -> None:
    assert run("timeline", folder.resolve(), "--output", tmp_path / "other", "--format", "raven") == 0
    for table in (tmp_path / "other").rglob("*.selections.txt"):
        lines = table.read_text().splitlines()
        assert all(Path(line.split("\t")[-1]).is_file() for line in lines[1:])


def test_file_of_somebody_else_is_not_replaced(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = Path("out/recordings/monday/a.wav.labels.txt")
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    assert run("timeline", folder, "--output", "out", "--format", "audacity") == 1
    assert f"{own} exists, and belongs to no result" in capsys.readouterr().err
    assert own.read_text() == "mine"
    assert len([*Path("out").rglob("*.json")]) == 2


def test_clips_of_recordings_with_the_same_name_are_different_files(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("timeline", folder, "--save-clips", "clips") == 0
    names = [path.name for path in Path("clips").rglob("*.wav")]
    assert any(name.startswith("monday_a.wav-") for name in names)
    assert any(name.startswith("tuesday_a.wav-") for name in names)
    error = capsys.readouterr().err
    assert f"{len(names)} clips saved in clips" in error
    assert "kept" not in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "raven"], "--format: raven describes one recording"),
        (["--format", "csv", "--output", "out"], "--format: cannot be combined with --output"),
        (["--format", "vtt", "--output", "x.jsonl"], "--format: only a folder can also have files"),
        (["--redo"], "redo: needs --output"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run("timeline", folder, *arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("stop_signal", [signal.SIGINT, signal.SIGTERM])
def test_stopped_run_ends_soon_and_is_resumed(folder: Path, stop_signal: signal.Signals) -> None:
    for number in range(100):
        (folder / f"{number}.wav").write_bytes(encode(busy(1, 16_000, seed=number), 16_000))
    (folder / "zlong.wav").write_bytes(encode(busy(600, 16_000), 16_000))
    process = start_interruptible(
        [*COMMAND, folder, "--output", "r.jsonl"], stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and not (Path("r.jsonl").exists() and Path("r.jsonl").read_bytes()):
        time.sleep(0.01)
    process.send_signal(stop_signal)
    _, error = process.communicate(timeout=20)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[stop_signal]
    assert "Traceback" not in error
    stored = len(Path("r.jsonl").read_text().splitlines())
    assert 0 < stored < 104
    done = subprocess.run(
        [*COMMAND, folder, "--output", "r.jsonl"], capture_output=True, text=True, check=True
    )
    assert f"{104 - stored} analyzed, {stored} already stored, 0 failed" in done.stderr
    assert len(Path("r.jsonl").read_text().splitlines()) == 104
