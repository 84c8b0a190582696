"""Run the function under AWS's runtime client and runtime interface emulator."""

from __future__ import annotations

import base64
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from devtools.ports import free_port, listens, wait_until
from devtools.runtime_api import FUNCTION_NAME

INVOCATIONS = "/2015-03-31/functions/function/invocations"


def emulator() -> Path | None:
    """Return the path of the emulator in aws-sam-cli, or None if aws-sam-cli is not installed."""
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
        The file with its output, which would go to CloudWatch.
    """

    def __init__(self, url: str, log: Path) -> None:
        self._url = url
        self.log = log

    def invoke(self, event: Any) -> Any:
        """Invoke the function and wait for its answer; the emulator processes one event at a time."""
        return requests.post(self._url + INVOCATIONS, json=event, timeout=60).json()


@contextmanager
def running(
    log: Path,
    *,
    emulate: Sequence[str] = (),
    runtime: Sequence[str] = (sys.executable, "-m", "audio_classifier.boot"),
    **environment: str,
) -> Iterator[Function]:
    """Start the function as Lambda does.

    Parameters
    ----------
    log
        The file for the function's output.
    emulate
        The command of the emulator if it runs in a container.
    runtime
        The command that the emulator starts.
    """
    port, api_port = free_port(), free_port()
    command = [*(emulate or [str(emulator())])]
    command += ["--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
    command += ["--runtime-api-address", f"127.0.0.1:{api_port}", *runtime]
    variables = {
        **os.environ,
        "AWS_LAMBDA_FUNCTION_NAME": FUNCTION_NAME,
        "AWS_REGION": "us-east-1",
        **environment,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=variables, stdout=output, stderr=output)
    try:
        wait_until(lambda: listens(port), alive=lambda: process.poll() is None)
        yield Function(f"http://127.0.0.1:{port}", log)
    finally:
        process.terminate()
        process.wait(10)


def main() -> None:
    """Classify the audio file in the first command-line argument with the function."""
    recording = base64.b64encode(Path(sys.argv[1]).read_bytes()).decode()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder, "log")) as function:
        print(json.dumps(function.invoke({"audio_base64": recording}), indent=2))


if __name__ == "__main__":
    main()
