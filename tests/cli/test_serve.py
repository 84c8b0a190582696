from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from devtools.ports import answers, free_port, wait_until
from tests.cli.commands import COMMAND, run
from tests.server.client import post
from tests.server.deployment import s3_notification
from tests.support.own_bundles import make_own_bundle


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


def test_log_has_no_forged_lines_control_characters_or_api_keys(s3: Any, tmp_path: Path) -> None:
    key, port = "0123456789abcdef", free_port()
    url, hostile = f"http://127.0.0.1:{port}", "a\nERROR:    forged\x1b[2J\x9b\u202e.wav"
    s3.create_bucket(Bucket="hostile")  # moto answers 404 for all keys with line breaks
    environ = {"AUDIO_CLASSIFIER_API_KEYS": key, "AUDIO_CLASSIFIER_READ_BUCKETS": "hostile"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [COMMAND, "serve", "--port", str(port)], stdout=log, stderr=log, env={**os.environ, **environ}
        )
    try:
        wait_until(lambda: answers(f"{url}/readyz"), alive=lambda: process.poll() is None)
        attributes = {"specversion": "1.0", "id": "1", "source": "s3", "type": "created"}
        headers = {"X-Api-Key": key, **{f"ce-{name}": value for name, value in attributes.items()}}
        event = s3_notification("hostile", hostile)
        assert requests.post(f"{url}/events", json=event, headers=headers, timeout=30).status_code == 503
        headers |= {"X-Request-Id": "abc"}
        assert requests.get(f"{url}/model/labels", headers=headers, timeout=5).status_code == 200
        forwarded = {"X-Forwarded-For": b"\x9b2J\x85ERROR: forged", "X-Api-Key": f"{key}x".encode()}
        refused = requests.get(f"{url}/model/labels%0aERROR?x=%0a", headers=forwarded, timeout=5)
        assert refused.status_code == 401
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    written = (tmp_path / "log").read_text()
    lines = written.split("\n")
    assert any("a\\nERROR:    forged\\x1b[2J\\x9b\\u202e.wav" in line for line in lines), written
    assert any("\\x9b2J" in line and "401" in line for line in lines), written
    assert not any(line.startswith("ERROR") for line in lines)
    assert any("/model/labels" in line and line.endswith(" 200 OK request_id=abc") for line in lines), written
    of_event = re.compile(r"must be processed again.* request_id=[0-9a-f]{32}\b")
    assert any(of_event.search(line) for line in lines), written
    assert all(line.isprintable() for line in lines)
    assert key not in written


@pytest.mark.parametrize("port", ["65536", "-1", "http"])
def test_invalid_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run("serve", "--port", port)
    assert caught.value.code == 2
    assert f"--port: must be a port from 0 to 65535, got {port}" in capsys.readouterr().err


def test_missing_model_is_one_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("serve", "--bundle", tmp_path / "gone") == 2
    message, hint = capsys.readouterr().err.splitlines()
    assert message.startswith(f"audio-classifier: no model bundle in {tmp_path / 'gone'}: ")
    assert "compact" in hint


def test_taken_port_is_one_clear_error(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert run("serve", "--port", port) == 2
    message, hint = capsys.readouterr().err.splitlines()
    assert message == f"audio-classifier: --port: cannot listen on 127.0.0.1:{port}: Address already in use"
    assert "--port" in hint


def test_server_uses_the_bundle_and_logs_its_addresses(compact: Path, tmp_path: Path) -> None:
    own_bundle = make_own_bundle(compact, tmp_path / "own")
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [COMMAND, "serve", "--port", "0", "--host", "localhost", "--bundle", own_bundle], stderr=log
        )

    def url() -> str | None:
        found = re.search(r"serving on (http://localhost:\d+)$", (tmp_path / "log").read_text(), re.MULTILINE)
        return found and found[1]

    try:
        wait_until(lambda: url() is not None, alive=lambda: process.poll() is None)
        wait_until(lambda: answers(f"{url()}/readyz"), alive=lambda: process.poll() is None)
        labels = requests.get(f"{url()}/model/labels", timeout=10).json()
        demo = requests.get(f"{url()}/demo", timeout=10)
    finally:
        process.terminate()
        process.wait(20)
    assert labels["count"] < 527
    assert demo.status_code == 200
    lines = (tmp_path / "log").read_text().splitlines()
    assert any(line.endswith(f"demo page: {url()}/demo") for line in lines)
    assert any(line.endswith(f"API page: {url()}/") for line in lines)


def test_missing_extra_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert run("serve") == 2
    assert "pip install 'serverless-audio-classifier[serve]'" in capsys.readouterr().err
