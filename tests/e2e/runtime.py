"""The function under Amazon's own runtime client and runtime interface emulator."""

from __future__ import annotations

import base64
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

FUNCTION_NAME = "classify"
INVOCATIONS = "/2015-03-31/functions/function/invocations"


def emulator() -> Path | None:
    """The emulator that aws-sam-cli brings along, None where that is not installed."""
    sam = shutil.which("sam")
    if sam is None:
        return None
    name = "aws-lambda-rie-arm64" if platform.machine() == "aarch64" else "aws-lambda-rie-x86_64"
    found = Path(sam).resolve().parents[1].glob(f"lib/python*/site-packages/samcli/local/rapid/{name}")
    return next(found, None)


class Function:
    """A running function.

    Attributes
    ----------
    log
        What it prints, as CloudWatch would have it.
    """

    def __init__(self, url: str, log: Path) -> None:
        self._url = url
        self.log = log

    def invoke(self, event: Any) -> Any:
        """Invoke it and wait for the answer; the emulator takes one event at a time."""
        return requests.post(self._url + INVOCATIONS, json=event, timeout=60).json()


@contextmanager
def running(log: Path, **environment: str) -> Iterator[Function]:
    """Start the function as Lambda does."""
    rie = emulator()
    assert rie is not None
    ports = [_free_port(), _free_port()]
    command = [str(rie), "--runtime-interface-emulator-address", f"127.0.0.1:{ports[0]}"]
    command += ["--runtime-api-address", f"127.0.0.1:{ports[1]}", sys.executable]
    command += ["-m", "awslambdaric", "audio_classifier.lambda_handler.handler"]
    variables = {
        **os.environ,
        "AWS_LAMBDA_FUNCTION_NAME": FUNCTION_NAME,
        "AWS_REGION": "us-east-1",
        **environment,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=variables, stdout=output, stderr=output)
    try:
        _wait_for(ports[0], process)
        yield Function(f"http://127.0.0.1:{ports[0]}", log)
    finally:
        process.terminate()
        process.wait(10)


def main() -> None:
    """Classify the sound file that the command line names, in the function."""
    sound = base64.b64encode(Path(sys.argv[1]).read_bytes()).decode()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder, "log")) as function:
        print(json.dumps(function.invoke({"audio_base64": sound}), indent=2))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(500):
        assert process.poll() is None
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError("the emulator does not listen")


if __name__ == "__main__":
    main()
