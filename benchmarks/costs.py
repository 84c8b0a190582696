"""Measure response times with the CPU share that Lambda assigns to each memory size."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from benchmarks.deployed import Deployed
from benchmarks.function import running
from benchmarks.measuring import Measured, interleaved
from benchmarks.paths import Paths

MB_PER_CPU: Final = 1769  # AWS Lambda developer guide, "Configure function memory"
# "On-demand Lambda functions use a full vCPU (non-throttled) [...] during its initialization phase":
# https://serverlessland.com/content/service/lambda/guides/effectively-running-java-on-serverless/init-heavy-lifting
CPUS_AT_START: Final = 1.0
SIZES_MB: Final = (512, 1024, 1769, 3538, 8192)
MIN_SIZES_MB: Final = {"compact": 512, "max-int8": 512, "max-float32": 1024}  # by their peak memory
WARM_REQUESTS: Final = 3
PERIOD_US: Final = 20_000
CGROUP: Final = Path("/sys/fs/cgroup")


def measure(paths: Paths, deployed: Deployed, cpus: int, rounds: int) -> Measured:
    """Measure ``init``, ``first`` and ``warm`` seconds by model and memory size.

    Sizes that have more CPUs than this machine are left out.  A function has at least one whole CPU while it
    starts, and its share afterwards.
    """
    event = paths.event.read_bytes()

    def function(model: str, memory_mb: int) -> Callable[[], dict[str, float]]:
        variables = deployed.function_variables(paths, model)
        share = memory_mb / MB_PER_CPU

        def measured() -> dict[str, float]:
            with (
                running(deployed.command, memory_mb=memory_mb, variables=variables) as started,
                _limited(started.pid, max(share, CPUS_AT_START)) as limit,
            ):
                init = started.wait_until_ready()
                limit(share)
                first, *warm = (_seconds(lambda: started.invoke(event)) for _ in range(1 + WARM_REQUESTS))
            return {"init": init, "first": first, "warm": sum(warm) / WARM_REQUESTS}

        return measured

    subjects = {
        f"{model}, {memory_mb} MB": function(model, memory_mb)
        for model, min_size_mb in MIN_SIZES_MB.items()
        for memory_mb in SIZES_MB
        if min_size_mb <= memory_mb <= cpus * MB_PER_CPU
    }
    return interleaved(subjects, rounds)


def can_limit(cpus: int) -> bool:
    """Return whether this process has the permission to limit others to a number of CPUs."""
    try:
        with _limited(None, cpus):
            return True
    except OSError:
        return False


@contextmanager
def _limited(pid: int | None, cpus: float) -> Iterator[Callable[[float], None]]:
    """Limit a process to a number of CPUs until the block ends, by a control group (cgroup v1 or v2).

    Yields a function that changes the number.
    """
    version_1 = (CGROUP / "cpu").is_dir()
    group = CGROUP / ("cpu" if version_1 else "") / "audio-classifier-benchmark"

    def limit(cpus: float) -> None:
        quota_us = round(cpus * PERIOD_US)
        if version_1:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota_us))
        else:
            (group / "cpu.max").write_text(f"{quota_us} {PERIOD_US}")

    group.mkdir(exist_ok=True)
    try:
        limit(cpus)
        if pid is not None:
            (group / "cgroup.procs").write_text(str(pid))
        yield limit
    finally:
        with suppress(ProcessLookupError):  # the process has exited
            if pid is not None:
                (group.parent / "cgroup.procs").write_text(str(pid))
        group.rmdir()


def _seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin
