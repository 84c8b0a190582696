"""The help of all commands: examples, short options, and completion."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from audio_classifier.cli.parser import build_parser
from tests.cli.commands import run


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield all commands and subcommands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield command
                yield from commands(command)


COMMANDS = {command.prog.partition(" ")[2]: command for command in commands(build_parser())}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_examples_that_the_parser_accepts(name: str) -> None:
    _, _, examples = COMMANDS[name].format_help().partition("\nexamples:\n")
    lines = examples.strip().splitlines()
    assert lines
    for line in lines:
        program, *arguments = shlex.split(line.partition(" > ")[0])
        assert program == "audio-classifier"
        args = build_parser().parse_args(arguments)
        assert callable(args.run)
        assert " ".join(arguments).startswith(name)


def test_letter_stands_for_one_option_in_all_commands() -> None:
    letters: dict[str, str] = {}
    for command in COMMANDS.values():
        for action in command._actions:
            if len(action.option_strings) == 2:
                short, long = action.option_strings
                assert letters.setdefault(short, long) == long
    assert letters.keys() >= {"-b", "-c", "-f", "-k", "-l", "-o", "-p", "-s", "-t", "-x"}


@pytest.mark.parametrize("name", COMMANDS)
def test_frequent_options_have_letters_in_every_command(name: str) -> None:
    frequent = {
        "--bundle",
        "--channel",
        "--filter",
        "--exclude",
        "--format",
        "--output",
        "--top-k",
        "--threshold",
    }
    for action in COMMANDS[name]._actions:
        if frequent.intersection(action.option_strings):
            assert len(action.option_strings) == 2, action.option_strings


@pytest.mark.skipif(find_spec("shtab") is None, reason="shtab is not installed")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("audio-classifier clas", ["classify"]),
        ("audio-classifier classify --thres", ["--threshold", "--thresholds"]),
        ("audio-classifier timeline --format j", ["json", "jsonl"]),
        ("audio-classifier bundle import-e", ["import-efficientat"]),
        ("audio-classifier classify rec", ["recording.wav"]),
        ("audio-classifier classify recording.wav --bundle mod", ["models"]),
    ],
)
def test_bash_completes_commands_options_and_files(tmp_path: Path, line: str, expected: list[str]) -> None:
    (tmp_path / "recording.wav").touch()
    (tmp_path / "models").mkdir()
    script = subprocess.run(
        [sys.executable, "-m", "audio_classifier", "completion", "bash"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    words = line.split()
    completed = f"""
{script}
COMP_WORDS=({line}) COMP_CWORD={len(words) - 1} COMP_LINE={line!r} COMP_POINT={len(line)}
_shtab_audio_classifier
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        ["bash", "-c", completed],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    assert sorted(set(done.stdout.split())) == expected


def test_completion_without_shtab_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert run("completion", "bash") == 2
    assert "serverless-audio-classifier[completion]" in capsys.readouterr().err
