from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from audio_classifier.cli.parser import main
from tests.cli.commands import COMMAND


@pytest.mark.parametrize(
    "arguments", [[], ["classify"], ["bundle"], ["classify", "x", "--format", "xml"], ["dance"]]
)
def test_misuse_prints_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_installed_command_prints_only_the_predictions(assets: Path) -> None:
    result = subprocess.run(
        [COMMAND, "classify", assets / "rain.wav"], capture_output=True, text=True, check=True
    )
    assert len(result.stdout.splitlines()) == 5
    assert result.stderr == ""


def test_package_runs_as_a_module() -> None:
    module = subprocess.run(
        [sys.executable, "-m", "audio_classifier", "--version"], capture_output=True, check=True
    )
    assert module.stdout.strip()


def test_closed_pipe_is_not_an_error() -> None:
    command = f"'{COMMAND}' labels | head -n 1; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_full_disk_is_reported(assets: Path) -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [COMMAND, "classify", assets / "rain.wav", "--format", "jsonl"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert result.returncode == 2
    assert b"No space left on device" in result.stderr.splitlines()[0]
