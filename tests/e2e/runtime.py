"""The function under Amazon's own runtime client and runtime interface emulator."""

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
        The file for what it prints.
    emulate
        The command of the emulator, where it is not run here but in a container.
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
    """Classify the sound file that the command line names, in the function."""
    sound = base64.b64encode(Path(sys.argv[1]).read_bytes()).decode()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder, "log")) as function:
        print(json.dumps(function.invoke({"audio_base64": sound}), indent=2))


if __name__ == "__main__":
    main()
