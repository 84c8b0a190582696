"""Tests of the benchmarks: separate processes, interleaved measurements, and the report."""

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
from benchmarks.children import HIDDEN_PREFIXES, child, environment, run
from benchmarks.cold import MODELS, PEERS, check_predictions
from benchmarks.costs import MIN_SIZES_MB, SIZES_MB
from benchmarks.documents import replace_block
from benchmarks.limits import Results, limits
from benchmarks.load import CLIENTS
from benchmarks.material import random_head
from benchmarks.measuring import interleaved
from benchmarks.prices import costs
from benchmarks.report import BLOCKS, comparison, load, stages
from benchmarks.warm import STAGES

ROOT = Path(__file__).parents[2]


def values(**sections: dict[str, Any]) -> dict[str, Any]:
    """Return results of one second and 100 MB for every subject, except for the values in ``sections``."""

    def section(name: str, subjects: Iterable[str], *quantities: str) -> dict[str, Any]:
        given = sections.get(name, {})
        return {
            subject: {one: [100.0 if one == "peak_mb" else 1.0] * 3 for one in ("seconds", *quantities)}
            | {one: [value] * 3 for one, value in given.get(subject, {}).items()}
            for subject in subjects
        }

    alone = [f"{model}, network alone" for model in MODELS]
    windows = ["10-second file", "10-minute file, first 10 s", "10-minute file, middle 10 s"]
    sizes = [
        f"{model}, {size} MB"
        for model, smallest in MIN_SIZES_MB.items()
        for size in SIZES_MB[:4]
        if size >= smallest
    ]
    timelines = ["timeline of one minute", "timeline of one hour", "10 s of a 10-minute object in S3"]
    return {
        "machine": {"CPU": "some"},
        "sizes_mb": {"image": 200.0, "layers": 240.0},
        "cold": section("cold", [*MODELS, *PEERS], "init", "peak_mb"),
        "warm": section("warm", [*MODELS, *alone, *windows, *PEERS, "GEMM"], *STAGES, "other"),
        "recordings": section(
            "recordings",
            [*timelines, "short files, one at a time", "short files, in parallel"],
            *("peak_mb", "fetched_bytes"),
        ),
        "load": section("load", map(str, CLIENTS), "requests_per_s", "p50_s", "p99_s", "errors"),
        "costs": section("costs", sizes, "init", "first", "warm"),
    }


def cells(table: str) -> dict[str, list[str]]:
    """Parse the rows of a table, by their first cell."""
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("|")]
    return {first.strip(): rest for first, *rest in rows[2:]}


def test_each_subject_is_measured_once_per_round_after_a_discarded_round() -> None:
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


def test_peak_memory_of_a_process_is_its_own_when_started_by_a_small_process() -> None:
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


def test_process_that_starts_the_benchmarks_imports_no_large_modules() -> None:
    script = "import benchmarks.__main__, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"numpy", "requests", "matplotlib", "tensorflow", "audio_classifier"} & {*loaded} == set()


def test_failing_command_raises_an_error_and_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.children.LOG", tmp_path / "log.txt")
    with pytest.raises(RuntimeError, match="exited with status 3"):
        run([sys.executable, "-c", "import sys; sys.exit(3)"], {})
    with pytest.raises(RuntimeError, match="exited unexpectedly"), child("gemm", "nonsense"):
        pass
    assert "invalid literal for int" in (tmp_path / "log.txt").read_text()


def test_environment_hides_the_variables_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUDIO_CLASSIFIER_THREADS", "MALLOC_TOP_PAD_", "OPENBLAS_NUM_THREADS", "AWS_PROFILE"):
        monkeypatch.setenv(name, "1")
    variables = environment({"AUDIO_CLASSIFIER_BUNDLE": "b"})
    assert {name for name in variables if name.startswith(HIDDEN_PREFIXES)} == {"AUDIO_CLASSIFIER_BUNDLE"}
    assert "PATH" in variables


def test_task_is_warmed_up_and_performed_the_requested_number_of_times() -> None:
    with child("gemm", "1000") as process:
        assert [values.keys() for values in process.perform(3, warm_s=0.01)] == [{"seconds"}] * 3
        assert process.perform(0) == []
    assert process.result.status == 0


def test_limits_are_computed_from_the_results_and_reported_as_met_or_not() -> None:
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
            "10-second file": {"seconds": 0.01},
            "10-minute file, first 10 s": {"seconds": 0.0105},
            "10-minute file, middle 10 s": {"seconds": 0.012},
        },
        recordings={
            "timeline of one minute": {"peak_mb": 80},
            "timeline of one hour": {"peak_mb": 84},
            "10 s of a 10-minute object in S3": {"fetched_bytes": 2e6},
        },
        load={
            "1": {"requests_per_s": 60, "errors": 0},
            "2": {"requests_per_s": 80, "errors": 0},
            "4": {"requests_per_s": 88, "errors": 1},
            "8": {"requests_per_s": 84, "errors": 0},
            "16": {"requests_per_s": 80, "p99_s": 0.25, "errors": 0},
        },
    )
    rows = cells(limits(Results(results)))
    assert list(rows.values()) == [
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
    rows = cells(limits(Results(results)))
    assert rows["cold start, `compact` ÷ TensorFlow"] == ["not measured", "0.12"]
    assert rows["zip function with its layers, unzipped"] == ["not measured", "250 MB"]


def test_report_tables_contain_the_measured_values() -> None:
    results = Results(
        values(
            cold={"compact": {"seconds": 0.5, "peak_mb": 120}, "tensorflow": {"seconds": 4, "peak_mb": 1400}},
            warm={
                "compact": {"seconds": 0.012, "read": 0.003, "other": 0.002},
                "tensorflow": {"seconds": 0.24, "embedding": 0.1},
            },
        )
    )
    assert cells(comparison(results))["`compact`"] == ["0.50 s, 0.12 ×", "12 ms, 0.05 ×", "120 MB"]
    assert cells(comparison(results))["TensorFlow"] == ["4.00 s, 1.00 ×", "240 ms, 1.00 ×", "1400 MB"]
    assert cells(stages(results))["`compact`"] == ["3.0", "1000.0", "1000.0", "1000.0", "2.0", "12.0"]
    assert cells(stages(results))["TensorFlow"][2] == "100.0"
    assert cells(load(results))["16"] == ["1", *["1.00 s (1.00 … 1.00)"] * 2, "3"]


def test_peer_is_rejected_when_its_predictions_differ() -> None:
    generator = np.random.default_rng(0)
    head = random_head(generator)

    def response(codes: NDArray[np.uint8]) -> str:
        probabilities = head(dequantize(codes))
        top = [
            {"label": str(at), "probability": float(probabilities[at])}
            for at in np.argsort(probabilities)[-5:]
        ]
        return json.dumps({"predictions": top})

    codes = generator.integers(2, 254, (10, 128)).astype(np.uint8)
    nearly = (codes + 2 * (generator.random(codes.shape) < 0.1)).astype(np.uint8)
    check_predictions("peer", response(nearly), response(codes))
    for _ in range(20):
        other = generator.integers(2, 254, (10, 128)).astype(np.uint8)
        with pytest.raises(RuntimeError, match="expected peer to predict"):
            check_predictions("peer", response(other), response(codes))


def test_costs_are_computed_from_lambda_prices() -> None:
    table = costs(Results(values(costs={"compact, 1024 MB": {"init": 0.1, "first": 0.1, "warm": 0.1}})))
    # 100 s of 1 GB at $0.0000166667, and 1,000 requests at $0.20 per million; cold requests add the start.
    assert cells(table)["1024 MB (0.58 CPUs)"][:2] == ["100 ms / 0.20 s", "0.00187 / 0.0035"]
    assert cells(table)["512 MB (0.29 CPUs)"][-1] == "does not fit"
    # The times of two CPUs at the price of 8192 MB: 1,000 s of 8 GB.
    assert cells(table)["8192 MB (4.63 CPUs), upper bound"][:2] == ["1000 ms / 2.00 s", "0.13353 / 0.2669"]


def test_replace_block_leaves_the_rest_of_the_document_unchanged(tmp_path: Path) -> None:
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


def test_performance_document_repeats_the_tables_of_the_report() -> None:
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
