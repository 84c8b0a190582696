from __future__ import annotations

import errno
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_classifier import AudioClassifier
from tests.cli.commands import COMMAND, run
from tests.support.sounds import busy, encode


def test_single_file_prints_five_bars(assets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("classify", assets / "rain.wav") == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 5
    assert any("█" in line and line.endswith("  Rain") for line in out.splitlines())
    assert err == ""


def test_options_are_passed_to_the_classifier(
    assets: Path, capsys: pytest.CaptureFixture[str], classifier: AudioClassifier
) -> None:
    arguments = ["classify", assets / "rain.wav", "--format", "json", "--start-time", "3", "--top-k", "2"]
    arguments += ["--threshold", "0.001", "--filter", "thunder", "--filter", "/m/06mb1", "--filter", "Cat"]
    assert run(*arguments) == 0
    expected = classifier.predict(
        assets / "rain.wav", start_s=3, top_k=2, threshold=0.001, labels=["Thunder", "Rain", "Cat"]
    )
    predictions = json.loads(capsys.readouterr().out)["predictions"]
    assert [prediction["label"] for prediction in predictions] == [
        prediction.label for prediction in expected
    ]
    assert [p["probability"] for p in predictions] == pytest.approx(
        [p.probability for p in expected], abs=1e-4
    )


def test_excluded_classes_and_groups_are_omitted(assets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def labels(*arguments: str) -> set[str]:
        assert run("classify", assets / "rain.wav", "--format", "json", "--top-k", 527, *arguments) == 0
        return {prediction["label"] for prediction in json.loads(capsys.readouterr().out)["predictions"]}

    assert len(labels("--exclude", "rain", "--exclude", "/m/0ngt1")) == 525
    found = labels("--filter", "Natural sounds", "--exclude", "Water", "--groups")
    assert {"Thunder", "Wind"} <= found
    assert found.isdisjoint({"Rain", "Raindrop", "Speech"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--exclude", "Thundr"], "--exclude: no class is called 'Thundr'"),
        (["--exclude", "Human sounds"], "--exclude: no class is called 'Human sounds'"),
        (["--filter", "Yak", "--groups"], "--filter: no class or group is called 'Yak'"),
    ],
)
def test_unknown_name_is_reported_with_its_option(
    assets: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run("classify", assets / "rain.wav", *arguments) == 2
    assert message in capsys.readouterr().err


def test_unusable_file_is_reported_and_the_others_are_classified(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("classify", folder, folder / "gone.wav", folder / "notes.txt", "--format", "jsonl") == 1
    out, err = capsys.readouterr()
    statuses = {Path(r["file"]).name: r["status"] for r in map(json.loads, out.splitlines())}
    assert statuses == {
        "broken.wav": "error", "SIREN.WAV": "ok", "rain.wav": "ok", "gone.wav": "error", "notes.txt": "error",
    }  # fmt: skip
    assert "broken.wav: not a readable audio file" in err
    assert "Use a WAV, FLAC, OGG or MP3 file." in err
    assert "gone.wav: No such file or directory" in err


def test_empty_folder_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("classify", tmp_path) == 1
    assert "no audio files in this folder" in capsys.readouterr().err


def test_unreadable_folder_is_reported_and_the_others_are_searched(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path).name == "deeper":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(os, "listdir", scandir)
    assert run("classify", folder, "--format", "jsonl") == 1
    out, err = capsys.readouterr()
    assert "deeper: Permission denied" in err
    assert "rain.wav" in out


def test_dash_is_standard_input(
    assets: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((assets / "rain.wav").read_bytes())))
    assert run("classify", "-", "--top-k", 1) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_start_beyond_the_end_is_an_error_of_the_file(
    assets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("classify", assets / "rain.wav", "--start-time", "11") == 1
    assert "lasts 10 s" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0:03", "3s", "0:00:03.0"])
def test_start_time_may_be_written_as_a_clock_shows_it(
    assets: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    outputs = []
    for start_time in ("3", text):
        assert run("classify", assets / "thunder.wav", "--start-time", start_time) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("classify", "--start-time"),
        ("timeline", "--window"),
        ("timeline", "--hop"),
        ("timeline", "--min-duration"),
        ("plot", "--window"),
    ],
)
def test_time_that_is_not_understood_is_explained(
    command: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run(command, "x.wav", option, "1:99")
    assert caught.value.code == 2
    assert f"{option}: must be seconds (90 or 90s), minutes:seconds (1:30)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--filter", "Thundr"], "Did you mean 'Thunder'"),
        (["--top-k", "0"], "--top-k: must be at least 1, got 0"),
        (["--threshold", "2"], "--threshold: must be a probability from 0 to 1, got 2.0"),
        (["--start-time", "-1"], "--start-time: must be at least 0, got -1"),
        (["--bundle", "nowhere"], "no model bundle"),
        (["--bundle", "gopher://hole"], "--bundle: must be an https:// or s3:// URI, got 'gopher://hole'"),
        (["--bundle", "x" * 300], "File name too long"),
    ],
)
def test_invalid_option_is_reported_and_nothing_is_printed(
    assets: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run("classify", assets / "rain.wav", "--format", "csv", *arguments) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert out == ""


def test_file_names_of_any_characters_are_classified(folder: Path) -> None:
    odd = [
        os.fsencode(folder / "rain.wav").replace(b"rain", name)
        for name in (b"\xff", b"a\nb", "\u0394 \u96e8".encode())
    ]
    for name in odd:
        shutil.copy(os.fsencode(folder / "rain.wav"), name)
    for encoding in ("utf-8:strict", "ascii", "cp1252"):
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        for output in ("table", "json", "jsonl", "csv"):
            command = [os.fsencode(COMMAND), b"classify", b"--format", output.encode(), *odd]
            result = subprocess.run(command, capture_output=True, env=environment, check=False)
            assert result.returncode == 0
            assert result.stderr.startswith(b"3 classified, 0 failed, in ")
            assert result.stderr.count(b"\n") == 1
            if output == "json":
                files = [os.fsencode(response["file"]) for response in json.loads(result.stdout)]
                assert files == odd


def test_file_name_that_the_system_refuses_is_reported(
    assets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("classify", "x" * 300 + ".wav", assets / "rain.wav", "--format", "jsonl") == 1
    out, err = capsys.readouterr()
    assert [json.loads(line)["status"] for line in out.splitlines()] == ["error", "ok"]
    assert "File name too long" in err


def peak_mb(*command: object, stdin: Path | None = None) -> float:
    """Return the peak memory of a command.

    A small process starts the command, because the peak of a child includes the memory of its parent at the
    fork.
    """
    script = """
import resource, subprocess, sys
with open(sys.argv[1]) as stdin:
    subprocess.run(sys.argv[2:], stdin=stdin, stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""
    arguments = [sys.executable, "-c", script, *map(str, (stdin or os.devnull, *command))]
    return float(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)


def test_only_the_clip_of_seekable_standard_input_is_read(tmp_path: Path) -> None:
    header = bytearray(encode(np.zeros((8_000, 1)), 8_000)[:44])
    header[4:8] = header[40:44] = (1 << 31).to_bytes(4, "little")
    huge = tmp_path / "huge.wav"
    with huge.open("wb") as file:
        file.write(header)
        file.truncate(1 << 31)
    assert peak_mb(COMMAND, "classify", "-", stdin=huge) < 200


def test_process_needs_less_than_200_mb(tmp_path: Path) -> None:
    wav = tmp_path / "stereo.wav"
    wav.write_bytes(encode(busy(10, 44_100, channels=2), 44_100))
    assert 50 < peak_mb(COMMAND, "classify", wav) < 200


def test_part_of_a_longer_recording_is_reported(assets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("classify", assets / "town.wav") == 0
    assert capsys.readouterr().err == "classified 10 s of 0:18; `timeline` covers all of it\n"
    assert run("classify", assets / "town.wav", "--start-time", "5") == 0
    assert capsys.readouterr().err == ""
    assert run("classify", assets / "town.wav", assets / "rain.wav", "--format", "jsonl") == 0
    assert (
        "classified the first 10 s of each: 1 of 2 are longer, up to 0:18; `timeline` covers all of them\n"
        in capsys.readouterr().err
    )
