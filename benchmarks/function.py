"""Lambda functions under Amazon's runtime client, from the start of their process on."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from benchmarks.children import LOG, Ended, start, wait_for
from devtools.runtime_api import RuntimeApi

START_S: Final = 60


class Function:
    """A function that runs.

    Attributes
    ----------
    begin
        When its process was started, by `time.perf_counter`.
    pid
        Of its process.
    ended
        What it took, once it has ended.
    """

    ended: Ended

    def __init__(self, api: RuntimeApi, process: subprocess.Popen[bytes], begin: float) -> None:
        self._api = api
        self._process = process
        self.begin = begin
        self.pid = process.pid

    def started(self) -> float:
        """Wait until it asks for its first event; the seconds since its process was started."""
        deadline = self.begin + START_S
        while not self._api.started.wait(1):
            if self._api.errors or time.perf_counter() > deadline:
                raise RuntimeError(f"the function does not start: {self._api.errors}; see {LOG}")
        return time.perf_counter() - self.begin

    def invoke(self, event: bytes) -> Any:
        """The answer's body; `RuntimeError` if it is none of status 200."""
        answer = self._api.invoke(event)
        if answer.get("statusCode") != 200:
            raise RuntimeError(f"the function answers {answer}")
        return answer["body"]


@contextmanager
def running(command: Sequence[str], *, memory_mb: int, variables: Mapping[str, str]) -> Iterator[Function]:
    """Start a function as Lambda does, in an environment that has so much memory; end it when the block ends.

    Parameters
    ----------
    command
        What is run; it finds the Runtime API in its environment.
    variables
        Of the function's own.
    """
    with RuntimeApi() as api:
        told = {
            "AWS_LAMBDA_RUNTIME_API": api.address,
            "AWS_LAMBDA_FUNCTION_NAME": "benchmark",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
            "AWS_REGION": "us-east-1",
            "no_proxy": "127.0.0.1",
            **variables,
        }
        begin = time.perf_counter()
        process = start(command, told)
        function = Function(api, process, begin)
        try:
            yield function
        finally:
            process.kill()
            function.ended = wait_for(process)
