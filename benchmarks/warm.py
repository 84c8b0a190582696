"""Measure warm requests, and the time of their network alone as a lower bound."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Final

from benchmarks.children import warm_process
from benchmarks.cold import CPUS, HANDLER, MODELS, peer_functions
from benchmarks.deployed import MALLOC
from benchmarks.measuring import Measured, interleaved
from benchmarks.paths import Paths

PATCHES: Final = 10
# VGGish, per patch: the positions of each layer times the size of its kernel (vggish_slim.py).
PATCH_MULTIPLY_ADDS: Final = (
    96 * 64 * 9 * 64
    + 48 * 32 * 9 * 64 * 128
    + 24 * 16 * 9 * (128 * 256 + 256 * 256)
    + 12 * 8 * 9 * (256 * 512 + 512 * 512)
    + 12288 * 4096
    + 4096 * 4096
    + 4096 * 128
)
# The keys of `Classification.seconds`, and their names in the report.
STAGES: Final = {
    "read": "decode and resample",
    "features": "log-mels",
    "embedding": "network",
    "head": "attention head",
}
WARM_S: Final = 0.5
REPEATS: Final = 3


def measure(paths: Paths, peers: Sequence[str], rounds: int) -> Measured:
    """Measure ``seconds`` of each task; for requests also those of each stage, and ``other``."""
    event, recording = str(paths.event), str(paths.ten_seconds)
    blas = {**MALLOC, "OPENBLAS_NUM_THREADS": str(CPUS)}
    function = {
        "AUDIO_CLASSIFIER_THREADS": str(CPUS),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_NAME": "benchmark",
    }

    with ExitStack() as stack:

        def task(*arguments: str, variables: Mapping[str, str] = MALLOC) -> Callable[[], dict[str, float]]:
            return warm_process(stack, *arguments, variables=variables, warm_s=WARM_S, repeats=REPEATS)

        subjects: dict[str, Callable[[], Mapping[str, float]]] = {
            "GEMM": task("gemm", str(PATCHES * PATCH_MULTIPLY_ADDS), variables=blas),
            "10-second file": task("classify", "compact", recording, "0"),
            "10-minute file, first 10 s": task("classify", "compact", str(paths.ten_minutes), "0"),
            "10-minute file, middle 10 s": task("classify", "compact", str(paths.ten_minutes), "300"),
        }
        for model in MODELS:
            bundle_uri = paths.bundle_uri(model)
            subjects[f"{model}, network alone"] = task("engine", bundle_uri, str(CPUS), recording)
            subjects[f"{model}, network alone, one CPU"] = task("engine", bundle_uri, "1", recording)
            variables = {**MALLOC, **function, "AUDIO_CLASSIFIER_BUNDLE": bundle_uri}
            subjects[model] = task("handler", HANDLER, event, variables=variables)
        for name, (handler, peer_variables) in peer_functions(paths, peers).items():
            subjects[name] = task("handler", handler, event, variables=peer_variables)
        return interleaved(subjects, rounds)
