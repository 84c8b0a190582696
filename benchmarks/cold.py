"""Cold starts: the start of a process to its first answer, a new process each time."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.children import ALONE, run
from benchmarks.costs import MB_PER_CPU
from benchmarks.deployed import MALLOC, Deployed
from benchmarks.function import running
from benchmarks.measuring import Measured, interleaved
from benchmarks.paths import Paths

CPUS: Final = 2
MEMORY_MB: Final = MB_PER_CPU * CPUS
# By the package that each needs; their subjects' names begin with theirs.
PEERS: Final = {"tensorflow": "tensorflow", "pytorch": "torch"}
MODELS: Final = ("compact", "max-float32", "max-float16", "max-int8")
MORE_ANSWERS: Final = 2  # before the peak memory is read
HANDLER: Final = "audio_classifier.lambda_handler.handler"
# Of two answers to the same; the peers' resampler is another one.
SAME_LABELS: Final = 4
SAME_PROBABILITY: Final = 0.02


def measure(paths: Paths, deployed: Deployed, peers: Sequence[str], rounds: int) -> Measured:
    """``seconds``, those of them that went by until the first event was asked for (``init``), ``peak_mb``."""
    event = paths.event.read_bytes()
    answers: dict[str, Any] = {}

    def function(
        name: str, command: Sequence[str], variables: Mapping[str, str]
    ) -> Callable[[], dict[str, float]]:
        def measured() -> dict[str, float]:
            with running(command, memory_mb=MEMORY_MB, variables=variables) as started:
                init = started.started()
                answers[name] = started.invoke(event)
                seconds = time.perf_counter() - started.begin
                for _ in range(MORE_ANSWERS):
                    started.invoke(event)
            return {"seconds": seconds, "init": init, "peak_mb": started.ended.peak_mb}

        return measured

    python, *_ = deployed.command
    classify = [str(Path(sys.executable).with_name("audio-classifier")), "classify", str(paths.ten_seconds)]
    subjects: dict[str, Callable[[], dict[str, float]]] = {
        "Python and numpy": lambda: run([python, "-c", "import numpy"], deployed.variables),
        "command line": lambda: run(classify, {}),
    }
    for model in MODELS:
        subjects[model] = function(model, deployed.command, deployed.function_variables(paths, model))
    theirs = peer_functions(paths, peers)
    for name, (handler, variables) in theirs.items():
        subjects[name] = function(name, [sys.executable, "-m", "awslambdaric", handler], variables)
    measured = interleaved(subjects, rounds)
    for name in theirs:
        check_same(name, answers[name], answers["max-float32"])
    return measured


def peer_functions(paths: Paths, peers: Sequence[str]) -> dict[str, tuple[str, Mapping[str, str]]]:
    """The handler of each peer, and its variables: the weights; CPUs, BLAS and malloc as of ours.

    Each is there with the original's resampler, and with ours, which is faster.
    """
    variables = {
        **ALONE,
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
    """Whether it is a peer's, with whichever resampler."""
    return subject.startswith(tuple(PEERS))


def check_same(name: str, answer: str, ours: str) -> None:
    """Raise `RuntimeError` if what a peer answers is something else than what we do."""
    theirs, expected = (
        {one["label"]: one["probability"] for one in json.loads(text)["predictions"]}
        for text in (answer, ours)
    )
    common = theirs.keys() & expected.keys()
    if len(common) < SAME_LABELS or any(abs(theirs[at] - expected[at]) > SAME_PROBABILITY for at in common):
        raise RuntimeError(f"{name} answers {theirs}, where we answer {expected}")
