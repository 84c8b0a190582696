"""What is reported is what was measured, and processes are measured apart."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.children import run
from benchmarks.cold import MODELS
from benchmarks.costs import LEAST_MB, NOT_WARM, SIZES_MB
from benchmarks.documents import replace_block
from benchmarks.limits import LIMITS, Results, limits
from benchmarks.load import CLIENTS
from benchmarks.measuring import interleaved
from benchmarks.prices import costs
from benchmarks.report import stages
from benchmarks.warm import STAGES

ROOT = Path(__file__).parents[2]


def values(**changes: float) -> dict[str, Any]:
    """Results in which everything takes a second, or 100 MB, or what ``changes`` say of a subject."""

    def subject(name: str, *quantities: str) -> dict[str, list[float]]:
        value = changes.get(name.replace(", ", "_").replace("-", "_").replace(" ", "_"), 1.0)
        return {one: [100.0 if one == "peak_mb" else value] * 3 for one in quantities}

    def section(names: list[str], *quantities: str) -> dict[str, Any]:
        return {name: subject(name, *quantities) for name in names}

    alone = [f"{model}, network alone" for model in MODELS]
    files = [f"ten seconds of a file of ten {unit}" for unit in ("seconds", "minutes")]
    return {
        "machine": {"CPU": "some"},
        "sizes_mb": {"image": 200.0, "layers": 240.0},
        "cold": section([*MODELS, "tensorflow"], "seconds", "init", "peak_mb"),
        "warm": {
            **section([*MODELS], "seconds", *STAGES),
            **section([*alone, *files, "GEMM", "tensorflow"], "seconds"),
        },
        "recordings": {
            **section(["timeline of a minute", "timeline of an hour"], "seconds", "peak_mb"),
            **section(["ten seconds out of ten minutes in S3"], "seconds", "fetched_bytes", "peak_mb"),
            **section(["many files, one at a time", "many files, side by side"], "seconds", "peak_mb"),
        },
        "load": {
            str(n): subject("load", "answers_per_s", "p50_s", "p99_s") | {"errors": [0]} for n in CLIENTS
        },
        "costs": section(
            [
                f"{model}, {size} MB"
                for model, least in LEAST_MB.items()
                for size in SIZES_MB[:4]
                if size >= least
            ]
            + [NOT_WARM],
            *("init", "first", "warm"),
        ),
    }


def test_each_is_measured_once_a_round_beginning_with_another_one() -> None:
    order: list[str] = []

    def subject(name: str) -> dict[str, float]:
        order.append(name)
        return {"seconds": float(len(order))}

    measured = interleaved({name: lambda name=name: subject(name) for name in "abc"}, 2)  # type: ignore[misc]
    assert "".join(order) == "cab" + "abc" + "bca"
    assert measured == {
        "a": {"seconds": [4.0, 9.0]},
        "b": {"seconds": [5.0, 7.0]},
        "c": {"seconds": [6.0, 8.0]},
    }


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


def test_a_command_that_fails_is_an_error() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        run([sys.executable, "-c", "raise SystemExit(3)"], {})


def test_a_limit_is_reached_or_not_or_was_not_measured() -> None:
    results = values(max_float32=0.3, compact=0.121)
    lines = dict(
        zip((limit.what for limit in LIMITS), limits(Results(results)).splitlines()[2:], strict=True)
    )
    assert lines["cold start, `compact`, of TensorFlow's"].endswith("| 0.121 × | 0.12 × | **no** |")
    assert lines["warm answer, `max`, of TensorFlow's"].endswith("| 0.3 × | 0.5 × | yes |")
    assert lines["peak memory, `max`"].endswith("| 100 MB | 700 MB | yes |")
    del results["cold"]["tensorflow"]
    assert "| not measured | 0.12 ×" in limits(Results(results))


def test_stages_and_the_rest_are_the_whole() -> None:
    results = values()
    for stage in STAGES:
        results["warm"]["compact"][stage] = [0.2]
    assert "| `compact` | 200.0 | 200.0 | 200.0 | 200.0 | 200.0 | 1000.0 |" in stages(Results(results))


def test_a_thousand_clips_cost_what_lambda_asks_for_them() -> None:
    table = costs(Results(values(compact_1024_MB=0.1))).splitlines()
    # 100 s of 1 GB at $0.0000166667, and 1,000 requests at $0.20 a million; cold ones start, too.
    assert "| 1024 MB (0.58 CPUs) | 100 ms | 0.00187 / 0.0035 |" in table[3]
    assert table[2].endswith("|  | does not fit |")
    # Of 8192 MB with what was measured on the machine's two CPUs: 1,000 s of 8 GB.
    assert table[6].startswith("| 8192 MB (4.63 CPUs), at most | 1000 ms | 0.13353 / 0.2669 |")


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
    for name in ("stages", "tried", "costs"):
        block = re.search(
            rf"<!-- {name}: written by `make bench` -->\n\n(.*?)\n\n<!-- {name}: end -->",
            performance,
            re.DOTALL,
        )
        assert block, name
        assert block[1] in results
    assert "| 8192 MB" in performance
