"""Run all benchmarks and write benchmarks/results.md: ``python -m benchmarks``.

This process starts every measured process and must stay small (see `children`), so it imports no large
modules.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from benchmarks import cold, costs, load, machine, recordings, warm
from benchmarks.children import LOG, run
from benchmarks.deployed import deploy, layers_mb
from benchmarks.measuring import Measured
from benchmarks.paths import Paths
from devtools.ports import free_port

ROUNDS: Final = 7


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"measurements per subject ({ROUNDS})")
    parser.add_argument(
        "--out", type=Path, default=Path("build/bench"), help="output folder of results.md (build/bench)"
    )
    parser.add_argument(
        "--document", type=Path, nargs="*", default=[], help="documents in which to replace the tables"
    )
    arguments = parser.parse_args()
    LOG.parent.mkdir(parents=True, exist_ok=True)
    LOG.unlink(missing_ok=True)
    values = LOG.with_name("results.json")
    with tempfile.TemporaryDirectory(dir=LOG.parent) as folder:
        for results in measure(Path(folder).resolve(), arguments.rounds):
            values.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    report = [sys.executable, "-m", "benchmarks.report", values, arguments.out, *arguments.document]
    subprocess.run(report, check=True)


def measure(folder: Path, rounds: int) -> Iterator[dict[str, Any]]:
    """Yield all values measured so far, by section, subject and quantity, after each section."""
    paths, cpus = Paths(folder / "material"), _confine(cold.CPUS)
    peers = [name for name, package in cold.PEERS.items() if find_spec(package)]
    for name in cold.PEERS.keys() - peers:
        _log(f"{name} is not installed and is skipped")
    _log("creating the test material with TensorFlow")
    paths.folder.mkdir()
    run([sys.executable, "-m", "benchmarks.material", str(paths.folder)], {"TF_CPP_MIN_LOG_LEVEL": "3"})
    _log("building the deployed function")
    deployed = deploy(folder / "deployed")
    sizes = {"image": deployed.image_mb}
    if (layers := layers_mb(folder / "layers")) is not None:
        sizes["layers"] = layers
    about = {
        **machine.describe(cpus),
        "peers": ", ".join(peers),
        "rounds": str(rounds),
        "threads": f"{cold.CPUS} for networks, peers and the matrix product; 1 for numpy's BLAS",
    }
    results: dict[str, Any] = {"machine": about, "sizes_mb": sizes}
    sections: dict[str, Callable[[], Measured]] = {
        "cold": lambda: cold.measure(paths, deployed, peers, rounds),
        "warm": lambda: warm.measure(paths, peers, rounds),
        "recordings": lambda: recordings.measure(paths, rounds),
        "load": lambda: load.measure(paths, deployed, free_port(), rounds),
        "costs": lambda: costs.measure(paths, deployed, cpus, rounds) if costs.can_limit(cpus) else {},
    }
    for name, section in sections.items():
        _log(f"measuring: {name}")
        results[name] = section()
        yield results


def _confine(cpus: int) -> int:
    """Limit this process and its children to a number of CPUs; return the number they actually have."""
    if not hasattr(os, "sched_setaffinity"):  # macOS, Windows
        return os.cpu_count() or 1
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cpus])
    return len(os.sched_getaffinity(0))


def _log(message: str) -> None:
    print(message, file=sys.stderr)


if __name__ == "__main__":
    main()
