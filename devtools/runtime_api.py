"""An emulator of Lambda's Runtime API with SnapStart, which Amazon's own emulator does not support.

`AWS Lambda developer guide, "Using the Lambda runtime API for custom runtimes"
<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>`_, and the undocumented requests of
awslambdaric.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from devtools.background import BackgroundServer, QuietServer

FUNCTION_NAME = "classify"
RUNTIME = "/2018-06-01/runtime"
RESTORE = f"{RUNTIME}/restore/next"
CREDENTIALS = "/credentials"
# Headers of every event; Amazon's client crashes without a media type.
INVOCATION = {
    "Content-Type": "application/json",
    "Lambda-Runtime-Aws-Request-Id": "1",
    "Lambda-Runtime-Invoked-Function-Arn": f"arn:aws:lambda:us-east-1:123456789012:function:{FUNCTION_NAME}",
}
HANDLER = "audio_classifier.lambda_handler.handler"
MANAGED_RUNTIME = ("-m", "awslambdaric", HANDLER)
# The entry point and the command of the image.
IMAGE = ("-P", str(Path(__file__).parents[1] / "function" / "audio_classifier" / "boot.py"), HANDLER)
WAIT_S = 30
TIME_LIMIT_S = 900


class InvocationError(Exception):
    """The function failed.

    Attributes
    ----------
    report
        What the function reported: ``errorType``, ``errorMessage``, ...
    """

    def __init__(self, report: dict[str, Any]) -> None:
        super().__init__(f"{report.get('errorType')}: {report.get('errorMessage')}")
        self.report = report


class RuntimeApi(BackgroundServer):
    """Runtime API that holds a function in its snapshot until `restored` is set.

    Attributes
    ----------
    asked
        Requested paths, in order.
    errors
        Errors that the function reported, by path.
    restored
        Set by the caller to let the function continue after its snapshot.
    access_key
        Access key of the credentials that the function receives.
    started
        Set when the function requests its first event.
    time_limit_s
        Time limit of each invocation, which the function knows and which is not enforced.
    """

    def __init__(self, time_limit_s: float = TIME_LIMIT_S) -> None:
        self.time_limit_s = time_limit_s
        self.asked: list[str] = []
        self.errors: dict[str, dict[str, Any]] = {}
        self.restored = threading.Event()
        self.access_key = "BEFORE"
        self.started = threading.Event()
        self._snapshot_taken = threading.Event()
        self._events: queue.Queue[bytes] = queue.Queue()
        self._responses: queue.Queue[Any] = queue.Queue()
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                api.asked.append(self.path)
                if self.path == RESTORE:
                    api._snapshot_taken.set()
                    api.restored.wait(WAIT_S)
                    self.reply(200)
                elif self.path == CREDENTIALS:
                    self.reply(200, json.dumps(api.credentials()).encode())
                else:
                    api.started.set()
                    self.reply(200, api._events.get(), **INVOCATION, **api.deadline())

            def do_POST(self) -> None:
                api.asked.append(self.path)
                content = json.loads(self.body())
                if self.path.endswith("/response"):
                    api._responses.put(content)
                else:
                    error = {"type": self.headers["Lambda-Runtime-Function-Error-Type"], **content}
                    api.errors[self.path.removeprefix(RUNTIME)] = error
                    if "/invocation/" in self.path:
                        api._responses.put(InvocationError(error))
                self.reply(202)

            def body(self) -> bytes:
                if self.headers["Transfer-Encoding"] != "chunked":
                    return self.rfile.read(int(self.headers["Content-Length"]))
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def reply(self, status: int, body: bytes = b"null", **headers: str) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(QuietServer(("127.0.0.1", 0), Handler))
        self.address = f"127.0.0.1:{self.port}"

    def __exit__(self, *reason: object) -> None:
        self._events.put(b"null")  # releases a handler that waits for an event
        super().__exit__(*reason)

    def wait_for_snapshot(self) -> None:
        """Wait until the function has been initialized and asks for its restore."""
        assert self._snapshot_taken.wait(WAIT_S)

    def invoke(
        self, event: Any, *, timeout_s: float = WAIT_S, alive: Callable[[], bool] = lambda: True
    ) -> Any:
        """Invoke the function and return its response; an event given as bytes must be JSON.

        Raises
        ------
        InvocationError
            If the function reports an error.
        TimeoutError
            If there is no response in time.
        ChildProcessError
            If ``alive`` becomes false.
        """
        self._events.put(event if isinstance(event, bytes) else json.dumps(event).encode())
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            was_alive = alive()
            try:
                response = self._responses.get(timeout=0.02 if was_alive else 0)
            except queue.Empty:
                if not was_alive:
                    raise ChildProcessError("the function's process ended") from None
                continue
            if isinstance(response, InvocationError):
                raise response
            return response
        raise TimeoutError(f"no response within {timeout_s} s")

    def deadline(self) -> dict[str, str]:
        """Return the header with the end of an invocation that begins now."""
        return {"Lambda-Runtime-Deadline-Ms": str(round(1000 * (time.time() + self.time_limit_s)))}

    def credentials(self) -> dict[str, str]:
        """Return credentials in Lambda's format for functions with SnapStart, valid for years."""
        return {
            "AccessKeyId": self.access_key,
            "SecretAccessKey": "testing",
            "Token": "testing",
            "Expiration": "2099-01-01T00:00:00Z",
        }


@contextmanager
def snap_starting(
    log: Path, *, runtime: Sequence[str] = MANAGED_RUNTIME, **environment: str
) -> Iterator[tuple[RuntimeApi, subprocess.Popen[bytes]]]:
    """Start the function as Lambda does when a version with SnapStart is published; end it with the block.

    Parameters
    ----------
    log
        The file for the function's output.
    runtime
        The arguments of Python: `MANAGED_RUNTIME` or `IMAGE`.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with RuntimeApi() as api, log.open("wb") as output:
        variables = {
            **kept,
            "AWS_LAMBDA_RUNTIME_API": api.address,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
            "AWS_LAMBDA_FUNCTION_NAME": FUNCTION_NAME,
            "AWS_REGION": "us-east-1",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{api.address}{CREDENTIALS}",
            "no_proxy": "127.0.0.1",
            **environment,
        }
        process = subprocess.Popen([sys.executable, *runtime], env=variables, stdout=output, stderr=output)
        try:
            yield api, process
        finally:
            api.restored.set()
            process.kill()
            process.wait(10)
