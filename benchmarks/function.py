"""Lambda functions that run under Amazon's runtime client, measured from process start."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from benchmarks.children import LOG, ProcessResult, start, wait_for
from devtools.runtime_api import TIME_LIMIT_S, RuntimeApi

START_S: Final = 60


class Function:
    """A running function.

    Attributes
    ----------
    begin
        When its process was started, by `time.perf_counter`.
    pid
        The process ID.
    result
        Exit status and peak memory, set after the process has exited.
    """

    result: ProcessResult

    def __init__(self, api: RuntimeApi, process: subprocess.Popen[bytes], begin: float) -> None:
        self._api = api
        self._process = process
        self.begin = begin
        self.pid = process.pid

    def wait_until_ready(self) -> float:
        """Wait until the function asks for its first event; return the seconds since process start."""
        deadline = self.begin + START_S
        while not self._api.started.wait(1):
            if self._api.errors or time.perf_counter() > deadline:
                raise RuntimeError(
                    f"function did not start within {START_S} s, errors: {self._api.errors}; see {LOG}"
                )
        return time.perf_counter() - self.begin

    def process(self, event: Any, *, timeout_s: float) -> Any:
        """Return the function's response to an event that is not a request."""
        return self._api.invoke(event, timeout_s=timeout_s)

    def invoke(self, event: bytes) -> Any:
        """Return the body of the function's response; raise `RuntimeError` if its status is not 200."""
        response = self._api.invoke(event)
        if response.get("statusCode") != 200:
            raise RuntimeError(f"expected status 200 from the function, got {response}")
        return response["body"]


@contextmanager
def running(
    command: Sequence[str],
    *,
    memory_mb: int,
    variables: Mapping[str, str],
    time_limit_s: float = TIME_LIMIT_S,
) -> Iterator[Function]:
    """Start a function as Lambda does, and end it when the block ends.

    Parameters
    ----------
    command
        The runtime client; it finds the address of the Runtime API in its environment.
    memory_mb
        The memory size that the environment states; it is not enforced.
    variables
        The function's own environment variables.
    time_limit_s
        How long the function may take for an event.
    """
    with RuntimeApi(time_limit_s) as api:
        lambda_variables = {
            "AWS_LAMBDA_RUNTIME_API": api.address,
            "AWS_LAMBDA_FUNCTION_NAME": "benchmark",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
            "AWS_REGION": "us-east-1",
            "no_proxy": "127.0.0.1",
        }
        begin = time.perf_counter()
        process = start(command, {**lambda_variables, **variables})
        function = Function(api, process, begin)
        try:
            yield function
        finally:
            process.kill()
            function.result = wait_for(process)
