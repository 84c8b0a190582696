"""Start the measured processes from a small parent process.

A process starts with the peak memory of its parent (``ru_maxrss`` survives ``exec``), so this module imports
nothing large.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

LOG: Final = Path("build/bench/log.txt")
# The package sets the same, unless numpy is imported before it.
SINGLE_THREADED_BLAS: Final = {"OPENBLAS_NUM_THREADS": "1"}
# Prefixes of variables in the developer's environment that would change the measurements.
HIDDEN_PREFIXES: Final = ("AUDIO_CLASSIFIER_", "AWS_", "MALLOC_", "OMP_", "OPENBLAS_NUM", "PYTHONPATH", "TF_")
PEAK_BYTES: Final = 1 if sys.platform == "darwin" else 1024  # the unit of `ru_maxrss`


class ProcessResult(NamedTuple):
    """Exit status of a process, and its peak memory in MB (``ru_maxrss``)."""

    status: int
    peak_mb: float


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of this process without the `HIDDEN_PREFIXES`, plus ``variables``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(HIDDEN_PREFIXES)}
    return {**kept, **variables}


def start(command: Sequence[str], variables: Mapping[str, str], **options: Any) -> subprocess.Popen[Any]:
    """Start a measured process that writes stderr to `LOG`; ``options`` are those of `subprocess.Popen`."""
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("ab") as errors:
        return subprocess.Popen(
            command, env=environment(variables), stderr=errors, **{"stdout": subprocess.DEVNULL, **options}
        )


def wait_for(process: subprocess.Popen[Any]) -> ProcessResult:
    """Wait until a process exits."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return ProcessResult(process.returncode, usage.ru_maxrss * PEAK_BYTES / 1e6)


def run(command: Sequence[str], variables: Mapping[str, str]) -> dict[str, float]:
    """Run a command until it exits; return ``seconds`` and ``peak_mb``."""
    begin = time.perf_counter()
    result = wait_for(start(command, variables))
    seconds = time.perf_counter() - begin
    if result.status:
        raise RuntimeError(f"{command} exited with status {result.status}; see {LOG}")
    return {"seconds": seconds, "peak_mb": result.peak_mb}


class Child:
    """A process that has prepared a task and performs it on request.

    Attributes
    ----------
    result
        Exit status and peak memory, set after the process has exited.
    """

    result: ProcessResult

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def perform(self, repeats: int = 1, *, warm_s: float = 0) -> list[dict[str, float]]:
        """Perform the task a number of times; return ``seconds`` and the task's own quantities of each.

        The task is first performed without measurement until ``warm_s`` seconds have passed.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(warm_s, repeats, file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} exited unexpectedly; see {LOG}")
        return list(json.loads(line))


@contextmanager
def child(task: str, *arguments: str, variables: Mapping[str, str] | None = None) -> Iterator[Child]:
    """Start a process for a task of `tasks`, wait until it is ready, and end it when the block ends."""
    process = start(
        [sys.executable, "-m", "benchmarks.tasks", task, *arguments],
        {**SINGLE_THREADED_BLAS, **(variables or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    started = Child(process)
    try:
        started.perform(0)
        yield started
    finally:
        assert process.stdin is not None
        process.stdin.close()
        started.result = wait_for(process)
        assert process.stdout is not None
        process.stdout.close()


def new_process(task: str, *arguments: str) -> Callable[[], dict[str, float]]:
    """Return a subject that performs a task once in a new process, and adds ``peak_mb`` to its quantities."""

    def measured() -> dict[str, float]:
        with child(task, *arguments) as process:
            (values,) = process.perform()
        return {**values, "peak_mb": process.result.peak_mb}

    return measured


def warm_process(
    stack: ExitStack,
    task: str,
    *arguments: str,
    variables: Mapping[str, str] | None = None,
    warm_s: float = 0.2,
    repeats: int = 1,
) -> Callable[[], dict[str, float]]:
    """Return a subject that performs a task in one warm process, which ends with the stack.

    Each value is the median of the ``repeats``.
    """
    process = stack.enter_context(child(task, *arguments, variables=variables))

    def measured() -> dict[str, float]:
        values = process.perform(repeats, warm_s=warm_s)
        return {quantity: median(one[quantity] for one in values) for quantity in values[0]}

    return measured
