"""Answers of processes that have been at work for a while, and the least that they could take."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Final

from benchmarks.children import child
from benchmarks.cold import CPUS, HANDLER, MODELS, peer_variables
from benchmarks.deployed import MALLOC
from benchmarks.measuring import Measured, rotated
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
PAUSE_S: Final = 0.3  # threads of the process before wait in loops for more work, a tenth of a second
REPEATS: Final = 3  # a turn, after one that does not count


def measure(paths: Paths, peers: Sequence[str], rounds: int) -> Measured:
    """``seconds`` of each task, and those of our stages."""
    ours = {
        "AUDIO_CLASSIFIER_THREADS": str(CPUS),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_NAME": "benchmark",
    }
    handler = ("handler", HANDLER, str(paths.event))
    tasks: dict[str, tuple[Sequence[str], Mapping[str, str]]] = {
        "GEMM": (("gemm", str(PATCHES * PATCH_MULTIPLY_ADDS)), {"OPENBLAS_NUM_THREADS": str(CPUS)}),
        "ten seconds of a file of ten seconds": (("classify", "compact", str(paths.ten_seconds)), {}),
        "ten seconds of a file of ten minutes": (("classify", "compact", str(paths.ten_minutes)), {}),
    }
    for model in MODELS:
        place = paths.place(model)
        tasks[f"{model}, network alone"] = (("engine", place, str(CPUS), str(PATCHES)), {})
        tasks[f"{model}, network alone, one CPU"] = (("engine", place, "1", str(PATCHES)), {})
        tasks[model] = (handler, {**ours, **MALLOC, "AUDIO_CLASSIFIER_BUNDLE": place})
    tasks["compact, freed memory given back"] = (handler, ours)
    for peer in peers:
        tasks[peer] = (
            ("handler", f"benchmarks.peer_{peer}.handler", str(paths.event)),
            peer_variables(paths),
        )

    measured: Measured = {name: {} for name in tasks}
    with ExitStack() as stack:
        children = {
            name: stack.enter_context(child(*arguments, environment=environment))
            for name, (arguments, environment) in tasks.items()
        }
        for number in range(rounds):
            for name in rotated(list(children), number):
                time.sleep(PAUSE_S)
                for turn in children[name].turn(1 + REPEATS)[1:]:
                    for quantity, value in turn.items():
                        measured[name].setdefault(quantity, []).append(value)
    return measured
