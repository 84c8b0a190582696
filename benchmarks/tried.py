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

PACKED: Final = "weights packed"
CACHED: Final = "weights from a cache"
# A task of `variants`, and the ways to do it, by name: the first one was kept.
WAYS: Final = {
    "sixteen_bits": {"16 bits read as they are": "int16", "16 bits read as floats": "float32"},
    "resample": {
        "resampled by soxr, VHQ": "VHQ",
        "resampled by soxr, HQ": "HQ",
        "resampled by resampy": "resampy",
    },
    "log_mels": {"log-mels in float64": "float64", "log-mels in float32": "float32"},
    "short_sound": {"three seconds as they are": "own", "three seconds repeated before": "ten"},
    "decoded": {"base64 by pybase64": "pybase64", "base64 by Python": "python"},
    "hashed": {
        "72 MB hashed 16 MB at a time, beside a busy thread": "large",
        "72 MB hashed 256 kB at a time, beside a busy thread": "small",
    },
}
# Section, what was kept, what was tried.
PAIRS: Final = (
    *(("tried", kept, other) for kept, *others in WAYS.values() for other in others),
    ("tried", PACKED, CACHED),
    ("warm", "max-float32", BLAS_THREADS),
    ("cold", "compact", COLLECTED),
    ("cold", "compact", NOT_WARM),
)


def measure(paths: Paths, rounds: int) -> Measured:
    """``seconds`` of each, and what else the task tells; ``peak_mb`` of processes that load a model."""
    sound, model = str(paths.ten_seconds), paths.place("max-float32")
    heard = {
        "sixteen_bits": (sound,),
        "resample": (),
        "log_mels": (sound,),
        "short_sound": (model, str(paths.three_seconds)),
        "decoded": (str(paths.event),),
        "hashed": (paths.place("max-int8"),),
    }
    with ExitStack() as stack:
        subjects = {
            name: at_work(stack, task, *heard[task], way, variables=MALLOC)
            for task, ways in WAYS.items()
            for name, way in ways.items()
        }
        subjects[PACKED] = once("loaded", model)
        subjects[CACHED] = once("loaded", model, str(paths.folder / "weights.cache"))
        return interleaved(subjects, rounds)
