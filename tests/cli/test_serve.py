from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devtools.ports import answers, free_port, wait_until
from tests.cli.commands import COMMAND, run
from tests.server.client import post


def test_server_completes_requests_in_progress_before_it_stops(assets: Path) -> None:
    port = free_port()
    process = subprocess.Popen(
        [COMMAND, "serve", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(f"{url}/readyz"), alive=lambda: process.poll() is None)
        content = (assets / "rain.wav").read_bytes()
        started = threading.Event()

        def slow_body() -> Iterator[bytes]:
            yield content[:1000]
            started.set()
            time.sleep(0.5)
            yield content[1000:]

        with ThreadPoolExecutor(1) as pool:
            pending = pool.submit(post, url, slow_body())
            started.wait(5)
            time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            assert pending.result().status_code == 200
        assert process.wait(10) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("port", ["65536", "-1", "http"])
def test_invalid_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run("serve", "--port", port)
    assert caught.value.code == 2
    assert "argument --port" in capsys.readouterr().err


def test_missing_extra_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert run("serve") == 2
    assert "pip install 'serverless-audio-classifier[serve]'" in capsys.readouterr().err
