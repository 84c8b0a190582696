"""Measure long recordings, S3 objects and batches of files."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.children import new_process, warm_process
from benchmarks.measuring import Measured, interleaved
from benchmarks.paths import Paths


def measure(paths: Paths, rounds: int) -> Measured:
    """Measure ``seconds`` and each task's own quantities, and ``peak_mb`` of processes that run it once."""
    batch = str(paths.short_files)
    with ExitStack() as stack:
        subjects = {
            "timeline of one minute": new_process("events", "compact", str(paths.minute)),
            "timeline of one hour": new_process("events", "compact", str(paths.hour)),
            "10 s of a 10-minute object in S3": new_process("s3", "compact", str(paths.ten_minutes)),
            "short files, one at a time": warm_process(stack, "short_files", "compact", batch, "sequential"),
            "short files, in parallel": warm_process(stack, "short_files", "compact", batch, "parallel"),
        }
        return interleaved(subjects, rounds)
