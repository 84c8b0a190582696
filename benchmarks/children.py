"""Processes that are measured, started by one that is small.

A process begins with the peak memory of the one that starts it (``ru_maxrss`` outlives ``exec``), so nothing
large may be imported here.
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
# As the package sets it, where numpy is not imported before it.
ALONE: Final = {"OPENBLAS_NUM_THREADS": "1"}
# What a developer's environment may say, but not to what is measured.
OTHERS: Final = ("AUDIO_CLASSIFIER_", "AWS_", "MALLOC_", "OMP_", "OPENBLAS_NUM", "PYTHONPATH", "TF_")
PEAK_BYTES: Final = 1 if sys.platform == "darwin" else 1024  # the unit of `ru_maxrss`


class Ended(NamedTuple):
    """How a process ended, and its peak memory in MB (``ru_maxrss``)."""

    status: int
    peak_mb: float


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """What a process that is measured is told: nothing of `OTHERS` but ``variables``."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}, **variables}


def start(command: Sequence[str], variables: Mapping[str, str], **options: Any) -> subprocess.Popen[Any]:
    """Start a process that is measured and complains into `LOG`; ``options`` as of `subprocess.Popen`."""
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("ab") as errors:
        return subprocess.Popen(
            command, env=environment(variables), stderr=errors, **{"stdout": subprocess.DEVNULL, **options}
        )


def wait_for(process: subprocess.Popen[Any]) -> Ended:
    """Wait for a process to end."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Ended(process.returncode, usage.ru_maxrss * PEAK_BYTES / 1e6)


def run(command: Sequence[str], variables: Mapping[str, str]) -> dict[str, float]:
    """Run a command to its end: ``seconds`` and ``peak_mb``."""
    begin = time.perf_counter()
    ended = wait_for(start(command, variables))
    seconds = time.perf_counter() - begin
    if ended.status:
        raise RuntimeError(f"{command} ends with {ended.status}; see {LOG}")
    return {"seconds": seconds, "peak_mb": ended.peak_mb}


class Child:
    """A process that has a task ready, and does it when it is asked to.

    Attributes
    ----------
    ended
        What it took, once it has ended.
    """

    ended: Ended

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def turn(self, repeats: int = 1, *, warm_s: float = 0) -> list[dict[str, float]]:
        """Do it so many times: ``seconds`` and whatever else the task tells, of each.

        Before, it is done as often as ``warm_s`` have room for, the last time beyond them.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(warm_s, repeats, file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} has ended; see {LOG}")
        return list(json.loads(line))


@contextmanager
def child(task: str, *arguments: str, variables: Mapping[str, str] | None = None) -> Iterator[Child]:
    """Start a process for a task (see `tasks`); it is ready when this returns, and ends with the block."""
    process = start(
        [sys.executable, "-m", "benchmarks.tasks", task, *arguments],
        {**ALONE, **(variables or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    started = Child(process)
    try:
        started.turn(0)
        yield started
    finally:
        assert process.stdin is not None
        process.stdin.close()
        started.ended = wait_for(process)
        assert process.stdout is not None
        process.stdout.close()


def once(task: str, *arguments: str) -> Callable[[], dict[str, float]]:
    """A subject: a process of its own each time, which does a task once; ``peak_mb``, too."""

    def measured() -> dict[str, float]:
        with child(task, *arguments) as process:
            (turn,) = process.turn()
        return {**turn, "peak_mb": process.ended.peak_mb}

    return measured


def at_work(
    stack: ExitStack,
    task: str,
    *arguments: str,
    variables: Mapping[str, str] | None = None,
    warm_s: float = 0.2,
    repeats: int = 1,
) -> Callable[[], dict[str, float]]:
    """A subject: a process that stays until the stack ends, and does a task when it is warm.

    Each value is the median of the ``repeats``.
    """
    process = stack.enter_context(child(task, *arguments, variables=variables))

    def measured() -> dict[str, float]:
        turns = process.turn(repeats, warm_s=warm_s)
        return {quantity: median(turn[quantity] for turn in turns) for quantity in turns[0]}

    return measured
