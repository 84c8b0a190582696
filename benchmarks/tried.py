"""Ways that were tried, and those that were kept instead."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Final

from benchmarks.children import at_work, once
from benchmarks.cold import COLLECTED, NOT_WARM
from benchmarks.deployed import MALLOC
from benchmarks.measuring import Measured, interleaved
from benchmarks.paths import Paths
from benchmarks.warm import BLAS_THREADS

VHQ: Final = "resampled by soxr, VHQ"
# Section, what was kept, what was tried.
PAIRS: Final = (
    ("tried", "16 bits read as they are", "16 bits read as floats"),
    ("tried", VHQ, "resampled by soxr, HQ"),
    ("tried", VHQ, "resampled by resampy"),
    ("tried", "log-mels in float64", "log-mels in float32"),
    ("tried", "three seconds as they are", "three seconds repeated before"),
    ("tried", "base64 by pybase64", "base64 by Python"),
    (
        "tried",
        "72 MB hashed 16 MB at a time, beside a busy thread",
        "72 MB hashed 256 kB at a time, beside a busy thread",
    ),
    ("tried", "weights packed", "weights from a cache"),
    ("warm", "max-float32", BLAS_THREADS),
    ("cold", "compact", COLLECTED),
    ("cold", "compact", NOT_WARM),
)


def measure(paths: Paths, rounds: int) -> Measured:
    """``seconds`` of each, and what else the task tells; ``peak_mb`` of processes that load a model."""
    sound, model, int8 = str(paths.ten_seconds), paths.place("max-float32"), paths.place("max-int8")
    with ExitStack() as stack:
        kept_at_work = {
            name: at_work(stack, *task, variables=MALLOC)
            for name, task in {
                "16 bits read as they are": ("sixteen_bits", sound, "int16"),
                "16 bits read as floats": ("sixteen_bits", sound, "float32"),
                VHQ: ("resample", "VHQ"),
                "resampled by soxr, HQ": ("resample", "HQ"),
                "resampled by resampy": ("resample", "resampy"),
                "log-mels in float64": ("log_mels", sound, "float64"),
                "log-mels in float32": ("log_mels", sound, "float32"),
                "three seconds as they are": ("short_sound", model, str(paths.three_seconds), "own"),
                "three seconds repeated before": ("short_sound", model, str(paths.three_seconds), "ten"),
                "base64 by pybase64": ("decoded", str(paths.event), "pybase64"),
                "base64 by Python": ("decoded", str(paths.event), "python"),
                "72 MB hashed 16 MB at a time, beside a busy thread": ("hashed", int8, "large"),
                "72 MB hashed 256 kB at a time, beside a busy thread": ("hashed", int8, "small"),
            }.items()
        }
        loads = {
            "weights packed": once("loaded", model),
            "weights from a cache": once("loaded", model, str(paths.folder / "weights.cache")),
        }
        return interleaved({**kept_at_work, **loads}, rounds)
