"""The Lambda function in a process of its own, under Amazon's runtime client, which may die at any time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from devtools.runtime_api import FUNCTION_NAME, RuntimeApi
from tests.faults.memory import peak_bytes

START_S: Final = 60
TIME_LIMIT_S: Final = 60.0
HANG_S: Final = 90.0


class KilledError(Exception):
    """The function was killed on purpose."""


class FunctionProcess:
    """A function that is started when it is invoked, and again after its process has ended.

    Attributes
    ----------
    peak_bytes
        The highest memory use of any of its processes, at the end of an invocation.
    """

    def __init__(self, log: Path, environment: Mapping[str, str]) -> None:
        self._log, self._environment = log, environment
        self._api: RuntimeApi | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.peak_bytes = 0

    def invoke(self, event: Any, *, kill_after_s: float | None = None) -> Any:
        """Return the function's response.

        Parameters
        ----------
        kill_after_s
            When the process is killed if it has not responded; None for never.

        Raises
        ------
        InvocationError
            If the function reports an error.
        KilledError
            If its process was killed.
        ChildProcessError
            If its process ended by itself.
        TimeoutError
            If it does not respond in time; its process is killed.
        """
        api, process = self._started()
        killer = None if kill_after_s is None else threading.Timer(kill_after_s, process.kill)
        if killer:
            killer.start()
        try:
            return api.invoke(event, timeout_s=HANG_S, alive=lambda: process.poll() is None)
        except ChildProcessError as error:
            if killer and process.wait() == -signal.SIGKILL:
                raise KilledError from error
            raise ChildProcessError(f"the function ended with status {process.wait()}") from error
        except TimeoutError:
            process.kill()
            raise
        finally:
            if killer:
                killer.cancel()
                killer.join()
            self.peak_bytes = max(self.peak_bytes, peak_bytes(process.pid))

    def close(self) -> None:
        """End the process."""
        if self._process:
            self._process.kill()
            self._process.wait(10)
        if self._api:
            self._api.__exit__()
        self._api = self._process = None

    def _started(self) -> tuple[RuntimeApi, subprocess.Popen[bytes]]:
        if self._api and self._process and self._process.poll() is None:
            return self._api, self._process
        self.close()
        api = RuntimeApi(TIME_LIMIT_S).__enter__()
        variables = {
            **os.environ,
            "AWS_LAMBDA_RUNTIME_API": api.address,
            "AWS_LAMBDA_FUNCTION_NAME": FUNCTION_NAME,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
            "AWS_REGION": "us-east-1",
            **self._environment,
        }
        with self._log.open("ab") as output:
            command = [sys.executable, "-m", "audio_classifier.boot"]
            process = subprocess.Popen(command, env=variables, stdout=output, stderr=output)
        self._api, self._process = api, process
        if not api.started.wait(START_S):
            raise TimeoutError(f"the function did not start within {START_S} s; see {self._log}")
        return api, process
