"""Answers of processes that have been at work for a while, and the least that they could take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Final

from benchmarks.children import at_work
from benchmarks.cold import CPUS, HANDLER, MODELS, peer_functions
from benchmarks.deployed import MALLOC
from benchmarks.measuring import Measured, interleaved
from benchmarks.paths import Paths

PATCHES: Final = 10
# Of VGGish, a patch: each layer's positions times its kernel (vggish_slim.py).
PATCH_MULTIPLY_ADDS: Final = (
    96 * 64 * 9 * 64
    + 48 * 32 * 9 * 64 * 128
    + 24 * 16 * 9 * (128 * 256 + 256 * 256)
    + 12 * 8 * 9 * (256 * 512 + 512 * 512)
    + 12288 * 4096
    + 4096 * 4096
    + 4096 * 128
)
# What `Classification.seconds` tells, and what that is.
STAGES: Final = {
    "read": "decode and resample",
    "features": "log-mels",
    "embedding": "network",
    "head": "attention head",
}
WARM_S: Final = 0.5
REPEATS: Final = 3


def measure(paths: Paths, peers: Sequence[str], rounds: int) -> Measured:
    """``seconds`` of each task; of answers those of each stage, and the ``rest``."""
    event, sound = str(paths.event), str(paths.ten_seconds)
    blas = {**MALLOC, "OPENBLAS_NUM_THREADS": str(CPUS)}
    function = {
        "AUDIO_CLASSIFIER_THREADS": str(CPUS),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_NAME": "benchmark",
    }

    with ExitStack() as stack:

        def task(*arguments: str, variables: Mapping[str, str] = MALLOC) -> Callable[[], dict[str, float]]:
            return at_work(stack, *arguments, variables=variables, warm_s=WARM_S, repeats=REPEATS)

        subjects: dict[str, Callable[[], Mapping[str, float]]] = {
            "GEMM": task("gemm", str(PATCHES * PATCH_MULTIPLY_ADDS), variables=blas),
            "ten seconds": task("classify", "compact", sound, "0"),
            "the first ten of ten minutes": task("classify", "compact", str(paths.ten_minutes), "0"),
            "ten in the middle of ten minutes": task("classify", "compact", str(paths.ten_minutes), "300"),
        }
        for model in MODELS:
            place = paths.place(model)
            subjects[f"{model}, network alone"] = task("engine", place, str(CPUS), sound)
            subjects[f"{model}, network alone, one CPU"] = task("engine", place, "1", sound)
            variables = {**MALLOC, **function, "AUDIO_CLASSIFIER_BUNDLE": place}
            subjects[model] = task("handler", HANDLER, event, variables=variables)
        for name, (handler, peer_variables) in peer_functions(paths, peers).items():
            subjects[name] = task("handler", handler, event, variables=peer_variables)
        return interleaved(subjects, rounds)
