"""Cold starts: the start of a process to its first answer, a new process each time."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.children import run
from benchmarks.costs import MB_PER_CPU
from benchmarks.deployed import Deployed
from benchmarks.function import running
from benchmarks.measuring import Measured, interleaved
from benchmarks.paths import Paths

CPUS: Final = 2
MEMORY_MB: Final = MB_PER_CPU * CPUS
MODELS: Final = ("compact", "max-float32", "max-float16", "max-int8")
MORE_ANSWERS: Final = 2  # before the peak memory is read
HANDLER: Final = "audio_classifier.lambda_handler.handler"
NOT_WARM: Final = "compact, not warmed up"  # nor by `boot`


def measure(paths: Paths, deployed: Deployed, peers: Sequence[str], rounds: int) -> Measured:
    """``seconds``, those of them that went by until the first event was asked for (``init``), ``peak_mb``."""
    event = paths.event.read_bytes()
    answers: dict[str, Any] = {}

    def function(name: str, command: Sequence[str], variables: Mapping[str, str]) -> dict[str, float]:
        with running(command, memory_mb=MEMORY_MB, variables=variables) as started:
            init = started.started()
            answers[name] = started.invoke(event)
            seconds = time.perf_counter() - started.begin
            for _ in range(MORE_ANSWERS):
                started.invoke(event)
        return {"seconds": seconds, "init": init, "peak_mb": started.ended.peak_mb}

    def ours(model: str) -> Callable[[], dict[str, float]]:
        variables = {
            **deployed.variables,
            "AUDIO_CLASSIFIER_BUNDLE": paths.place(model),
            "AUDIO_CLASSIFIER_WARM_UP": "http",
        }
        return lambda: function(model, deployed.command, variables)

    def runtime_client(handler: str) -> list[str]:
        return [sys.executable, "-m", "awslambdaric", handler]

    def peer(name: str) -> Callable[[], dict[str, float]]:
        variables = peer_variables(paths)
        return lambda: function(name, runtime_client(f"benchmarks.peer_{name}.handler"), variables)

    python = deployed.command[0]
    classify = [str(Path(sys.executable).with_name("audio-classifier")), "classify", str(paths.ten_seconds)]
    numpy = [python, "-c", "import numpy"]
    subjects: dict[str, Callable[[], dict[str, float]]] = {
        "Python and numpy": lambda: run(numpy, {**os.environ, **deployed.variables}),
        "command line": lambda: run(classify, os.environ),
        **{model: ours(model) for model in MODELS},
        NOT_WARM: lambda: function(NOT_WARM, [python, "-m", "awslambdaric", HANDLER], deployed.variables),
        **{name: peer(name) for name in peers},
    }
    measured = interleaved(subjects, rounds)
    for name in peers:
        _check_same(name, answers[name], answers["max-float32"])
    return measured


def peer_variables(paths: Paths) -> dict[str, str]:
    """What a peer is told: where the weights are, and how many CPUs it has, as ours."""
    cpus = {name: str(CPUS) for name in ("BENCHMARK_CPUS", "OPENBLAS_NUM_THREADS")}
    return {"BENCHMARK_MATERIAL": str(paths.folder), "TF_CPP_MIN_LOG_LEVEL": "3", **cpus}


def _check_same(name: str, answer: str, ours: str) -> None:
    """Raise `RuntimeError` if what a peer answers is something else than what we do."""
    theirs, expected = (
        {one["label"]: one["probability"] for one in json.loads(text)["predictions"]}
        for text in (answer, ours)
    )
    common = theirs.keys() & expected.keys()
    if len(common) < len(expected) - 1 or any(abs(theirs[at] - expected[at]) > 0.01 for at in common):
        raise RuntimeError(f"{name} answers {theirs}, where we answer {expected}")
