"""Measure cold starts: from the start of a new process to its first response."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.children import SINGLE_THREADED_BLAS, run
from benchmarks.costs import MB_PER_CPU
from benchmarks.deployed import MALLOC, Deployed
from benchmarks.function import running
from benchmarks.measuring import Measured, interleaved
from benchmarks.paths import Paths

CPUS: Final = 2
MEMORY_MB: Final = MB_PER_CPU * CPUS
# The package that each peer requires. The names of a peer's subjects start with the peer's name.
PEERS: Final = {"tensorflow": "tensorflow", "pytorch": "torch"}
MODELS: Final = ("compact", "max-float32", "max-float16", "max-int8")
MORE_REQUESTS: Final = 2  # after the first, because later requests may raise the peak memory
HANDLER: Final = "audio_classifier.lambda_handler.handler"
# How closely predictions must agree; they differ slightly because the peers may use another resampler.
MIN_COMMON_LABELS: Final = 4
MAX_PROBABILITY_DIFFERENCE: Final = 0.02


def measure(paths: Paths, deployed: Deployed, peers: Sequence[str], rounds: int) -> Measured:
    """Measure ``seconds`` to the first response, of which ``init`` until ready, and ``peak_mb``."""
    event = paths.event.read_bytes()
    responses: dict[str, Any] = {}

    def function(
        name: str, command: Sequence[str], variables: Mapping[str, str]
    ) -> Callable[[], dict[str, float]]:
        def measured() -> dict[str, float]:
            with running(command, memory_mb=MEMORY_MB, variables=variables) as started:
                init = started.wait_until_ready()
                responses[name] = started.invoke(event)
                seconds = time.perf_counter() - started.begin
                for _ in range(MORE_REQUESTS):
                    started.invoke(event)
            return {"seconds": seconds, "init": init, "peak_mb": started.result.peak_mb}

        return measured

    python, *_ = deployed.command
    classify = [str(Path(sys.executable).with_name("audio-classifier")), "classify", str(paths.ten_seconds)]
    subjects: dict[str, Callable[[], dict[str, float]]] = {
        "Python and numpy": lambda: run([python, "-c", "import numpy"], deployed.variables),
        "command line": lambda: run(classify, {}),
    }
    for model in MODELS:
        subjects[model] = function(model, deployed.command, deployed.function_variables(paths, model))
    peer_subjects = peer_functions(paths, peers)
    for name, (handler, variables) in peer_subjects.items():
        subjects[name] = function(name, [sys.executable, "-m", "awslambdaric", handler], variables)
    measured = interleaved(subjects, rounds)
    for name in peer_subjects:
        check_predictions(name, responses[name], responses["max-float32"])
    return measured


def peer_functions(paths: Paths, peers: Sequence[str]) -> dict[str, tuple[str, Mapping[str, str]]]:
    """Return the handler and the environment variables of each peer.

    Weights, CPUs, BLAS threads and malloc settings are the same as for this package.  Each peer occurs twice:
    with the original's resampler, and with this package's, which is faster.
    """
    variables = {
        **SINGLE_THREADED_BLAS,
        **MALLOC,
        "BENCHMARK_MATERIAL": str(paths.folder),
        "BENCHMARK_CPUS": str(CPUS),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    return {
        f"{peer}{suffix}": (
            f"benchmarks.peer_{peer}.handler",
            {**variables, "BENCHMARK_RESAMPLER": resampler},
        )
        for peer in peers
        for suffix, resampler in (("", "resampy"), (" with soxr", "soxr"))
    }


def is_peer(subject: str) -> bool:
    """Return whether a subject belongs to a peer, with either resampler."""
    return subject.startswith(tuple(PEERS))


def check_predictions(name: str, response: str, expected_response: str) -> None:
    """Raise `RuntimeError` if a peer's predictions differ from those of this package."""
    predicted, expected = (
        {one["label"]: one["probability"] for one in json.loads(text)["predictions"]}
        for text in (response, expected_response)
    )
    common = predicted.keys() & expected.keys()
    if len(common) < MIN_COMMON_LABELS or any(
        abs(predicted[label] - expected[label]) > MAX_PROBABILITY_DIFFERENCE for label in common
    ):
        raise RuntimeError(f"expected {name} to predict {expected}, got {predicted}")
