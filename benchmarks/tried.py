"""Ways that were tried, each behind the one that was kept."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.children import at_work, once
from benchmarks.measuring import Measured, interleaved
from benchmarks.paths import Paths


def measure(paths: Paths, rounds: int) -> Measured:
    """``seconds`` of each, and what else the task tells; ``peak_mb`` of processes that load a model."""
    sound, model = str(paths.ten_seconds), paths.place("max-float32")

    with ExitStack() as stack:
        kept_at_work = {
            name: at_work(stack, *task)
            for name, task in {
                "log-mels in float64": ("log_mels", sound, "float64"),
                "log-mels in float32": ("log_mels", sound, "float32"),
                "resampled by VHQ": ("resample", "VHQ"),
                "resampled by HQ": ("resample", "HQ"),
                "three seconds as they are": ("short_sound", model, str(paths.three_seconds), "own"),
                "three seconds repeated before": ("short_sound", model, str(paths.three_seconds), "ten"),
                "base64 by pybase64": ("decoded", str(paths.event), "pybase64"),
                "base64 by Python": ("decoded", str(paths.event), "python"),
                "72 MB hashed in one call, beside a busy thread": ("hashed", paths.place("max-int8"), "call"),
                "72 MB hashed in pieces, beside a busy thread": ("hashed", paths.place("max-int8"), "pieces"),
            }.items()
        }
        loads = {
            "weights packed": once("loaded", model),
            "weights from a cache": once("loaded", model, str(paths.folder / "weights.cache")),
        }
        return interleaved({**kept_at_work, **loads}, rounds)
