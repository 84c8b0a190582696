"""What is long, what is in S3, and what is many."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.children import at_work, once
from benchmarks.measuring import Measured, interleaved
from benchmarks.paths import Paths


def measure(paths: Paths, rounds: int) -> Measured:
    """``seconds`` and what the task tells; ``peak_mb`` of processes that do it once."""
    with ExitStack() as stack:
        subjects = {
            "timeline of a minute": once("events", "compact", str(paths.minute)),
            "timeline of an hour": once("events", "compact", str(paths.hour)),
            "ten seconds out of ten minutes in S3": once("s3", "compact", str(paths.ten_minutes)),
            "many files, one at a time": at_work(stack, "many_files", "compact", str(paths.many), "one"),
            "many files, side by side": at_work(stack, "many_files", "compact", str(paths.many), "side"),
        }
        return interleaved(subjects, rounds)
