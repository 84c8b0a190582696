from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import soundfile

from audio_classifier import AudioClassifier, Hysteresis
from tests.cli.commands import run


def test_options_are_passed_to_the_classifier(
    assets: Path, capsys: pytest.CaptureFixture[str], classifier: AudioClassifier
) -> None:
    arguments = ["--threshold", "0.4", "--release", "0.3", "--min-duration", "1.5", "--window", "1.92"]
    arguments += ["--hop", "1.92", "--filter", "thunder", "--filter", "rain"]
    assert run("timeline", assets / "thunder.wav", "--format", "json", *arguments) == 0
    printed = json.loads(capsys.readouterr().out)
    events = classifier.events(
        assets / "thunder.wav",
        window_s=1.92,
        hop_s=1.92,
        hysteresis=Hysteresis(0.4, 0.3, 1.5),
        labels=["Thunder", "Rain"],
    )
    expected = sorted(map(asdict, events), key=lambda event: (event["start_s"], -event["peak"]))
    assert printed == {"file": str(assets / "thunder.wav"), "events": expected}
    assert "Thunder" in {event["label"] for event in expected}


def test_excluded_classes_and_groups_have_no_events(assets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--filter", "Natural sounds", "--exclude", "Water", "--groups", "--threshold", "0.01"]
    assert run("timeline", assets / "thunder.wav", "--format", "json", *arguments) == 0
    labels = {event["label"] for event in json.loads(capsys.readouterr().out)["events"]}
    assert {"Thunder"} <= labels
    assert labels.isdisjoint({"Rain", "Raindrop", "Rain on surface", "Stream", "Speech"})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--threshold", "2"),
        ("--release", "0.9"),
        ("--min-duration", "-1"),
        ("--window", "20"),
        ("--hop", "5"),
    ],
)
def test_invalid_option_is_named(
    assets: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    assert run("timeline", assets / "rain.wav", option, value) == 2
    assert capsys.readouterr().err.startswith(f"audio-classifier: {option}: ")


def test_unusable_file_fails_with_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    assert run("timeline", tmp_path / "a.wav") == 1
    assert "a.wav: " in capsys.readouterr().err
    assert run("timeline", tmp_path / "gone.wav") == 1
    assert "gone.wav: " in capsys.readouterr().err


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_unusable_recording_is_an_error_body_in_json(tmp_path: Path, capsys: Any, form: str) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    assert run("timeline", tmp_path / "a.wav", "--format", form) == 1
    body = json.loads(capsys.readouterr().out)
    assert body.keys() == {"file", "status", "code", "message", "hint"}
    assert (body["status"], body["code"]) == ("error", "unreadable_audio")


def test_events_are_saved_as_clips(assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["timeline", assets / "thunder.wav", "--format", "json", "--filter", "Thunder"]
    arguments += ["--threshold", "0.2", "--save-clips", tmp_path / "clips"]
    assert run(*arguments, "--margin", "0") == 0
    printed = capsys.readouterr()
    events = json.loads(printed.out)["events"]
    saved = sorted((tmp_path / "clips" / "Thunder").iterdir())
    assert len(saved) == len(events) > 0
    clips = "clip" if len(saved) == 1 else "clips"
    assert f"{len(saved)} {clips} saved in {tmp_path / 'clips'}" in printed.err
    first = min(events, key=lambda event: event["start_s"])
    assert saved[0].name.startswith(f"thunder.wav-00m{first['start_s']:05.2f}s-")
    info, recording = soundfile.info(saved[0]), soundfile.info(assets / "thunder.wav")
    assert info.samplerate == recording.samplerate
    assert info.duration == pytest.approx(
        min(first["end_s"], recording.duration) - first["start_s"], abs=0.01
    )
    assert run(*arguments) == 0
    error = capsys.readouterr().err
    assert f"kept, because it exists: {saved[0]}" in error
    assert f"0 clips saved in {tmp_path / 'clips'}, {len(saved)} existing files kept" in error


@pytest.mark.parametrize("form", ["table", "json"])
def test_events_before_a_fault_are_saved_as_clips(
    tmp_path: Path, assets: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    samples, rate_hz = soundfile.read(assets / "town.wav", dtype="int16")
    soundfile.write(tmp_path / "a.flac", samples, rate_hz)
    content = bytearray((tmp_path / "a.flac").read_bytes())
    damaged = slice(len(content) * 4 // 5, len(content) * 4 // 5 + 3_000)
    content[damaged] = bytes(3_000)
    (tmp_path / "a.flac").write_bytes(content)
    arguments = ["timeline", tmp_path / "a.flac", "--threshold", "0.2", "--format", form]
    assert run(*arguments, "--save-clips", tmp_path / "clips") == 1
    error = capsys.readouterr().err
    saved = [*(tmp_path / "clips").rglob("*.wav")]
    assert saved
    assert re.search(rf"^{len(saved)} clips? saved", error, re.MULTILINE)
    assert "a.flac: the FLAC data cannot be decoded" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--margin", "1"], "needs --save-clips"),
        (["--margin", "-1", "--save-clips", "x"], "must be at least 0"),
    ],
)
def test_invalid_margin_is_refused(
    assets: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run("timeline", assets / "rain.wav", *arguments) == 2
    assert f"--margin: {message}" in capsys.readouterr().err
