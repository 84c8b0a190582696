from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from audio_classifier import boot
from devtools.ports import answers, free_port, wait_until

BOOT = [sys.executable, "-P", boot.__file__]


def test_elsewhere_it_serves_on_the_port_that_is_set() -> None:
    port = free_port()
    process = subprocess.Popen(BOOT, env={**os.environ, "PORT": str(port)}, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}/healthz"
        wait_until(lambda: answers(url), alive=lambda: process.poll() is None)
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize("port", [None, ""])
def test_without_one_it_serves_on_5000(monkeypatch: pytest.MonkeyPatch, port: str | None) -> None:
    monkeypatch.delenv("AWS_LAMBDA_RUNTIME_API", raising=False)
    if port is None:
        monkeypatch.delenv("PORT", raising=False)
    else:
        monkeypatch.setenv("PORT", port)
    command_line = Mock(return_value=0)
    monkeypatch.setattr("audio_classifier.cli.parser.main", command_line)
    handle = Mock()
    monkeypatch.setattr("signal.signal", handle)
    assert boot.main([]) == 0
    command_line.assert_called_once_with(["serve", "--host", "0.0.0.0", "--port", "5000"])
    handle.assert_called_once_with(signal.SIGTERM, boot._end)


def test_a_command_may_clean_up_when_it_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_LAMBDA_RUNTIME_API", raising=False)
    monkeypatch.setattr("audio_classifier.cli.parser.main", Mock(return_value=0))
    handle = Mock()
    monkeypatch.setattr("signal.signal", handle)
    assert boot.main(["classify", "a.wav"]) == 0
    handle.assert_called_once_with(signal.SIGTERM, boot._exit)
    with pytest.raises(SystemExit, match=str(128 + signal.SIGTERM)):
        boot._exit(signal.SIGTERM, None)


def test_a_port_that_is_none_is_explained() -> None:
    run = subprocess.run(
        BOOT, env={**os.environ, "PORT": "65536"}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "argument --port: 65536 is no port" in run.stderr


def test_elsewhere_a_command_is_run(assets: Path) -> None:
    run = subprocess.run([*BOOT, "classify", assets / "rain.wav"], capture_output=True, text=True, check=True)
    assert len(run.stdout.splitlines()) == 5


def test_inside_lambda_it_runs_the_handler_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """That it works is held by the tests under the emulator."""
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1")
    handlers: list[list[str]] = []
    monkeypatch.setattr("awslambdaric.__main__.main", handlers.append)
    disabled = Mock()
    monkeypatch.setattr("gc.disable", disabled)
    assert boot.main([]) == boot.main(["mine.handler"]) == 0
    disabled.assert_called_once_with()  # for the handler that switches it on again
    assert handlers == [["awslambdaric", boot.HANDLER], ["awslambdaric", "mine.handler"]]
