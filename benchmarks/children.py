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
from typing import Any, Final, NamedTuple

# As the package sets it, where numpy is not imported before it.
ALONE: Final = {"OPENBLAS_NUM_THREADS": "1"}


class Ended(NamedTuple):
    """How a process ended, and its peak memory in MB (``ru_maxrss``)."""

    status: int
    peak_mb: float


def wait_for(process: subprocess.Popen[Any]) -> Ended:
    """Wait for a process to end."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Ended(process.returncode, usage.ru_maxrss * 1024 / 1e6)


def run(command: Sequence[str], environment: Mapping[str, str]) -> dict[str, float]:
    """Run a command to its end: ``seconds`` and ``peak_mb``."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ended = wait_for(process)
    seconds = time.perf_counter() - begin
    if ended.status:
        raise subprocess.CalledProcessError(ended.status, command)
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

    def turn(self, repeats: int = 1) -> list[dict[str, float]]:
        """Do it so many times: ``seconds`` and whatever else the task tells, of each."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(repeats, file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} has ended")
        return list(json.loads(line))


@contextmanager
def child(task: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Child]:
    """Start a process for a task (see `tasks`); it is ready when this returns, and ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.tasks", task, *arguments],
        env={**os.environ, **ALONE, **(environment or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
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


def at_work(stack: ExitStack, task: str, *arguments: str) -> Callable[[], dict[str, float]]:
    """A subject: a process that stays until the stack ends, and does a task twice; the second one counts."""
    process = stack.enter_context(child(task, *arguments))
    return lambda: process.turn(2)[1]
