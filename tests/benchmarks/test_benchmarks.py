"""What is reported is what was measured, and processes are measured apart."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from audio_classifier.model.postprocess import dequantize
from benchmarks.children import OTHERS, child, environment, run
from benchmarks.cold import MODELS, PEERS, check_same
from benchmarks.costs import LEAST_MB, SIZES_MB
from benchmarks.documents import replace_block
from benchmarks.limits import Results, limits
from benchmarks.load import CLIENTS
from benchmarks.material import random_head
from benchmarks.measuring import interleaved
from benchmarks.prices import costs
from benchmarks.report import BLOCKS, beside, load, stages
from benchmarks.warm import STAGES

ROOT = Path(__file__).parents[2]


def values(**sections: dict[str, Any]) -> dict[str, Any]:
    """Results in which everything takes a second, or 100 MB, or what ``sections`` say of a subject."""

    def section(name: str, subjects: Iterable[str], *quantities: str) -> dict[str, Any]:
        told = sections.get(name, {})
        return {
            subject: {one: [100.0 if one == "peak_mb" else 1.0] * 3 for one in ("seconds", *quantities)}
            | {one: [value] * 3 for one, value in told.get(subject, {}).items()}
            for subject in subjects
        }

    alone = [f"{model}, network alone" for model in MODELS]
    windows = ["ten seconds", "the first ten of ten minutes", "ten in the middle of ten minutes"]
    sizes = [
        f"{model}, {size} MB" for model, least in LEAST_MB.items() for size in SIZES_MB[:4] if size >= least
    ]
    timelines = ["timeline of a minute", "timeline of an hour", "ten seconds out of ten minutes in S3"]
    return {
        "machine": {"CPU": "some"},
        "sizes_mb": {"image": 200.0, "layers": 240.0},
        "cold": section("cold", [*MODELS, *PEERS], "init", "peak_mb"),
        "warm": section("warm", [*MODELS, *alone, *windows, *PEERS, "GEMM"], *STAGES, "rest"),
        "recordings": section(
            "recordings",
            [*timelines, "many files, one at a time", "many files, side by side"],
            *("peak_mb", "fetched_bytes"),
        ),
        "load": section("load", map(str, CLIENTS), "answers_per_s", "p50_s", "p99_s", "errors"),
        "costs": section("costs", sizes, "init", "first", "warm"),
    }


def cells(table: str) -> dict[str, list[str]]:
    """The rows of a table, by their first cell."""
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("|")]
    return {first.strip(): rest for first, *rest in rows[2:]}


def test_each_is_measured_once_a_round_and_one_round_fills_caches() -> None:
    order: list[str] = []

    def subject(name: str) -> dict[str, float]:
        order.append(name)
        return {"seconds": float(len(order))}

    measured = interleaved({name: lambda name=name: subject(name) for name in "abcd"}, 7)  # type: ignore[misc]
    rounds = ["".join(order[at : at + 4]) for at in range(0, 32, 4)]
    assert len(order) == 32
    assert all(sorted(one) == ["a", "b", "c", "d"] for one in rounds)
    assert len({*rounds}) > 3  # in different orders
    for name in "abcd":
        assert measured[name]["seconds"] == [at + 1 for at in range(4, 32) if order[at] == name]


def test_a_process_has_a_peak_of_its_own() -> None:
    """Started by a small one, as all are."""
    script = """
import sys
from benchmarks.children import run
for size_mb in (1, 200):
    code = f"b'x' * ({size_mb} << 20)"
    print(run([sys.executable, "-c", code], {})["peak_mb"])
assert "numpy" not in sys.modules
"""
    small, large = map(
        float,
        subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split(),
    )
    assert small < 60
    assert 200 < large < 300


def test_what_starts_processes_is_small() -> None:
    script = "import benchmarks.__main__, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"numpy", "requests", "matplotlib", "tensorflow", "audio_classifier"} & {*loaded} == set()


def test_a_command_that_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.children.LOG", tmp_path / "log.txt")
    with pytest.raises(RuntimeError, match="ends with 3"):
        run([sys.executable, "-c", "import sys; sys.exit('it hurts' and 3)"], {})
    with pytest.raises(RuntimeError, match="has ended"), child("gemm", "nonsense"):
        pass
    assert "invalid literal for int" in (tmp_path / "log.txt").read_text()


def test_what_a_developer_has_set_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUDIO_CLASSIFIER_THREADS", "MALLOC_TOP_PAD_", "OPENBLAS_NUM_THREADS", "AWS_PROFILE"):
        monkeypatch.setenv(name, "1")
    told = environment({"AUDIO_CLASSIFIER_BUNDLE": "b"})
    assert {name for name in told if name.startswith(OTHERS)} == {"AUDIO_CLASSIFIER_BUNDLE"}
    assert "PATH" in told


def test_a_task_gets_warm_and_is_done_as_often_as_it_is_asked_for() -> None:
    with child("gemm", "1000") as process:
        assert [turn.keys() for turn in process.turn(3, warm_s=0.01)] == [{"seconds"}] * 3
        assert process.turn(0) == []
    assert process.ended.status == 0


def test_limits_compare_what_they_say() -> None:
    results = values(
        cold={
            "compact": {"seconds": 0.3, "peak_mb": 149},
            "max-float32": {"seconds": 0.9, "peak_mb": 701},
            "max-int8": {"peak_mb": 299},
            "tensorflow": {"seconds": 3},
        },
        warm={
            "compact": {"seconds": 0.02, "read": 0.003},
            "max-float32": {"seconds": 0.12},
            "max-float32, network alone": {"seconds": 0.1},
            "GEMM": {"seconds": 0.08},
            "tensorflow": {"seconds": 0.2},
            "ten seconds": {"seconds": 0.01},
            "the first ten of ten minutes": {"seconds": 0.0105},
            "ten in the middle of ten minutes": {"seconds": 0.012},
        },
        recordings={
            "timeline of a minute": {"peak_mb": 80},
            "timeline of an hour": {"peak_mb": 84},
            "ten seconds out of ten minutes in S3": {"fetched_bytes": 2e6},
        },
        load={
            "1": {"answers_per_s": 60, "errors": 0},
            "2": {"answers_per_s": 80, "errors": 0},
            "4": {"answers_per_s": 88, "errors": 1},
            "8": {"answers_per_s": 84, "errors": 0},
            "16": {"answers_per_s": 80, "p99_s": 0.25, "errors": 0},
        },
    )
    told = cells(limits(Results(results)))
    assert list(told.values()) == [
        ["0.1", "0.12", "yes"],
        ["0.3", "0.2", "**no**"],
        ["1.2", "1.3", "yes"],
        ["0.6", "0.5", "**no**"],
        ["1.25", "1.6", "yes"],
        ["17 ms", "25 ms", "yes"],
        ["1.05", "1.1", "yes"],
        ["1.2", "1.1", "**no**"],
        ["2 MB", "2.3 MB", "yes"],
        ["1.05", "1.1", "yes"],
        ["149 MB", "150 MB", "yes"],
        ["701 MB", "700 MB", "**no**"],
        ["299 MB", "300 MB", "yes"],
        ["0.75", "1", "yes"],
        ["1.1", "1.1", "yes"],
        ["1.25", "1.5", "yes"],
        ["3", "0", "**no**"],
        ["240 MB", "250 MB", "yes"],
        ["200 MB", "300 MB", "yes"],
    ]
    del results["cold"]["tensorflow"], results["sizes_mb"]["layers"]
    told = cells(limits(Results(results)))
    assert told["cold start, `compact` ÷ TensorFlow"] == ["not measured", "0.12"]
    assert told["zip function with its layers, unzipped"] == ["not measured", "250 MB"]


def test_what_was_measured_is_what_is_told() -> None:
    results = Results(
        values(
            cold={"compact": {"seconds": 0.5, "peak_mb": 120}, "tensorflow": {"seconds": 4, "peak_mb": 1400}},
            warm={
                "compact": {"seconds": 0.012, "read": 0.003, "rest": 0.002},
                "tensorflow": {"seconds": 0.24, "embedding": 0.1},
            },
        )
    )
    assert cells(beside(results))["`compact`"] == ["0.50 s, 0.12 ×", "12 ms, 0.05 ×", "120 MB"]
    assert cells(beside(results))["TensorFlow"] == ["4.00 s, 1.00 ×", "240 ms, 1.00 ×", "1400 MB"]
    assert cells(stages(results))["`compact`"] == ["3.0", "1000.0", "1000.0", "1000.0", "2.0", "12.0"]
    assert cells(stages(results))["TensorFlow"][2] == "100.0"
    assert cells(load(results))["16"] == ["1", *["1.00 s (1.00 … 1.00)"] * 2, "3"]


def test_peers_must_answer_the_same() -> None:
    generator = np.random.default_rng(0)
    head = random_head(generator)

    def answer(codes: NDArray[np.uint8]) -> str:
        probabilities = head(dequantize(codes))
        top = [
            {"label": str(at), "probability": float(probabilities[at])}
            for at in np.argsort(probabilities)[-5:]
        ]
        return json.dumps({"predictions": top})

    codes = generator.integers(2, 254, (10, 128)).astype(np.uint8)
    nearly = (codes + 2 * (generator.random(codes.shape) < 0.1)).astype(np.uint8)
    check_same("peer", answer(nearly), answer(codes))
    for _ in range(20):
        other = generator.integers(2, 254, (10, 128)).astype(np.uint8)
        with pytest.raises(RuntimeError, match="where we answer"):
            check_same("peer", answer(other), answer(codes))


def test_a_thousand_clips_cost_what_lambda_asks_for_them() -> None:
    table = costs(Results(values(costs={"compact, 1024 MB": {"init": 0.1, "first": 0.1, "warm": 0.1}})))
    # 100 s of 1 GB at $0.0000166667, and 1,000 requests at $0.20 a million; cold ones start, too.
    assert cells(table)["1024 MB (0.58 CPUs)"][:2] == ["100 ms", "0.00187 / 0.0035"]
    assert cells(table)["512 MB (0.29 CPUs)"][-1] == "does not fit"
    # Of 8192 MB with what was measured on the machine's two CPUs: 1,000 s of 8 GB.
    assert cells(table)["8192 MB (4.63 CPUs), at most"][:2] == ["1000 ms", "0.13353 / 0.2669"]


def test_a_block_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text(
        "before\n<!-- x: written by `make` -->\nold\n<!-- x: end -->\nafter\n", encoding="utf-8"
    )
    for _ in range(2):
        replace_block(document, "x", "new")
    text = document.read_text(encoding="utf-8")
    assert text == "before\n<!-- x: written by `make` -->\n\nnew\n\n<!-- x: end -->\nafter\n"
    with pytest.raises(ValueError, match="no block y"):
        replace_block(document, "y", "new")


def test_the_document_tells_of_the_same_run() -> None:
    performance = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    results = (ROOT / "benchmarks" / "results.md").read_text(encoding="utf-8")
    for name in BLOCKS.values():
        block = re.search(
            rf"<!-- {name}: written by `make bench` -->\n\n(.*?)\n\n<!-- {name}: end -->",
            performance,
            re.DOTALL,
        )
        assert block, name
        assert block[1] in results
    assert "| 8192 MB" in performance
