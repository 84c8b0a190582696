from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import COMMAND, run
from tests.support.sounds import busy, encode


def run_on_terminal(*arguments: object) -> str:
    """Run a command with a terminal as its output; return all that it prints."""
    main_end, other_end = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, *map(str, arguments)],
        stdout=other_end,
        stderr=other_end,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(other_end)
    printed = b""
    try:
        while data := os.read(main_end, 65536):
            printed += data
    except OSError:  # the other end was closed
        pass
    finally:
        os.close(main_end)
        process.wait()
    return printed.decode()


def test_progress_of_several_files_is_shown_on_a_terminal(folder: Path) -> None:
    for number in range(8):
        (folder / f"{number}.wav").write_bytes(encode(busy(2, 16_000), 16_000))
    printed = run_on_terminal("classify", folder, "--format", "jsonl")
    assert "classifying" in printed
    lines = [re.split(r"\x1b\[2K|\r", line)[-1] for line in printed.replace("\r\n", "\n").split("\n")]
    responses = [json.loads(line) for line in lines if line.startswith("{")]
    assert len(responses) == 11, "a response shares a line with the progress bar"


def test_progress_of_timelines_counts_the_audio(tmp_path: Path, folder: Path) -> None:
    assert "of audio" in run_on_terminal("timeline", folder, "--format", "jsonl")
    (tmp_path / "long.wav").write_bytes(encode(busy(600, 16_000), 16_000))
    for command in ("timeline", "plot"):
        printed = run_on_terminal(command, tmp_path / "long.wav", "--output", tmp_path / f"{command}.png")
        assert "of 0:10:00" in printed


def test_progress_of_a_single_file_is_not_shown(assets: Path) -> None:
    assert "classifying" not in run_on_terminal("classify", assets / "rain.wav")


def test_control_characters_in_file_names_are_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = tmp_path / "a\x1b[2J\nb ü.wav"
    hostile.write_bytes(b"not audio")
    assert run("classify", hostile) == 1
    first, *_ = capsys.readouterr().err.splitlines()
    assert "a\\x1b[2J\\nb ü.wav: " in first


@pytest.mark.parametrize("output_format", ["table", "csv", "json", "jsonl"])
def test_names_in_reports_are_printable(
    tmp_path: Path, assets: Path, capsys: pytest.CaptureFixture[str], output_format: str
) -> None:
    name = "a\x1b[2J\nb\u202e.wav"
    for file in (name, "c.wav"):
        (tmp_path / file).write_bytes((assets / "rain.wav").read_bytes())
    assert run("classify", tmp_path, "--format", output_format) == 0
    printed = capsys.readouterr().out
    assert all(line.isprintable() for line in printed.split("\n"))
    if output_format == "json":
        assert {Path(report["file"]).name for report in json.loads(printed)} == {name, "c.wav"}
    else:
        assert "a\\x1b[2J\\nb\\u202e.wav" in printed or "a\\u001b[2J\\nb\\u202e.wav" in printed


@pytest.mark.parametrize("output_format", ["csv", "rttm"])
def test_name_in_a_timeline_is_printable(
    tmp_path: Path, assets: Path, capsys: pytest.CaptureFixture[str], output_format: str
) -> None:
    file = tmp_path / "a\x1b[2J\nb.wav"
    file.write_bytes((assets / "siren.wav").read_bytes())
    assert run("timeline", file, "--format", output_format) == 0
    printed = capsys.readouterr().out
    assert "siren" in printed.lower()
    assert all(line.isprintable() for line in printed.split("\n"))
