from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from audio_classifier import boot
from devtools.ports import answers, free_port, wait_until

BOOT = [sys.executable, "-P", boot.__file__]
SIGTERM_STATUS = 128 + signal.SIGTERM


@pytest.fixture
def outside_lambda(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run `boot.main` in this process as outside of Lambda, and restore the signal handler afterwards."""
    monkeypatch.delenv("AWS_LAMBDA_RUNTIME_API", raising=False)
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


def raise_sigterm(arguments: list[str]) -> int:
    """Replace a command that receives SIGTERM while it runs."""
    signal.raise_signal(signal.SIGTERM)
    return 0


def test_server_listens_on_the_port_of_the_environment() -> None:
    port = free_port()
    process = subprocess.Popen(BOOT, env={**os.environ, "PORT": str(port)}, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}/healthz"
        wait_until(lambda: answers(url), alive=lambda: process.poll() is None)
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize("port", [None, ""])
@pytest.mark.usefixtures("outside_lambda")
def test_server_listens_on_5000_without_port_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, port: str | None
) -> None:
    if port is None:
        monkeypatch.delenv("PORT", raising=False)
    else:
        monkeypatch.setenv("PORT", port)
    command_line = Mock(return_value=0)
    monkeypatch.setattr("audio_classifier.cli.parser.main", command_line)
    assert boot.main([]) == 0
    command_line.assert_called_once_with(["serve", "--host", "0.0.0.0", "--port", "5000"])


@pytest.mark.parametrize("arguments", [[], ["serve", "--port", "80"]])
@pytest.mark.usefixtures("outside_lambda")
def test_starting_server_exits_without_exception_on_sigterm(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    exit_process = Mock()  # returns, so that the test goes on
    monkeypatch.setattr(os, "_exit", exit_process)
    monkeypatch.setattr("audio_classifier.cli.parser.main", raise_sigterm)
    assert boot.main(arguments) == 0
    exit_process.assert_called_once_with(SIGTERM_STATUS)


@pytest.mark.usefixtures("outside_lambda")
def test_command_exits_by_exception_on_sigterm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audio_classifier.cli.parser.main", raise_sigterm)
    with pytest.raises(SystemExit, match=str(SIGTERM_STATUS)):
        boot.main(["classify", "a.wav"])


def test_invalid_port_is_refused() -> None:
    run = subprocess.run(
        BOOT, env={**os.environ, "PORT": "65536"}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "--port: must be a port from 0 to 65535, got 65536" in run.stderr


def test_command_runs_outside_lambda(assets: Path) -> None:
    run = subprocess.run([*BOOT, "classify", assets / "rain.wav"], capture_output=True, text=True, check=True)
    assert len(run.stdout.splitlines()) == 5


def test_named_handler_runs_inside_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runtime client is replaced; the tests in `tests/e2e` run it against an emulator."""
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1")
    handlers: list[list[str]] = []
    monkeypatch.setattr("awslambdaric.__main__.main", handlers.append)
    disabled = Mock()
    monkeypatch.setattr("gc.disable", disabled)
    assert boot.main([]) == boot.main(["mine.handler"]) == 0
    disabled.assert_called_once_with()  # only for the handler that enables it again
    assert handlers == [["awslambdaric", boot.HANDLER], ["awslambdaric", "mine.handler"]]
