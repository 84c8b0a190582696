"""Measures all of it in one run, and writes benchmarks/results.md: ``python -m benchmarks``.

This process starts all others and must stay small (see `children`): what is large is imported in those.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from benchmarks import cold, costs, load, machine, recordings, tried, warm
from benchmarks.deployed import deploy, layers_mb
from benchmarks.measuring import Measured
from benchmarks.paths import Paths
from tests.ports import free_port

PEERS: Final = ("tensorflow", "pytorch")
ROUNDS: Final = 7


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how often each is measured ({ROUNDS})")
    parser.add_argument(
        "--out", type=Path, default=Path("build/bench"), help="where results.md goes (build/bench)"
    )
    parser.add_argument("--document", type=Path, nargs="*", default=[], help="whose tables are replaced")
    arguments = parser.parse_args()
    work = Path("build/bench")
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        results = measure(Path(folder).resolve(), arguments.rounds)
    values = work / "results.json"
    values.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    report = [sys.executable, "-m", "benchmarks.report", values, arguments.out, *arguments.document]
    subprocess.run(report, check=True)


def measure(folder: Path, rounds: int) -> dict[str, Any]:
    """All values, by section, subject and quantity."""
    paths, cpus = Paths(folder / "material"), os.cpu_count() or 1
    peers = [name for name in PEERS if find_spec("torch" if name == "pytorch" else name)]
    _say("making the material")
    paths.folder.mkdir()
    subprocess.run(
        [sys.executable, "-m", "benchmarks.material", paths.folder],
        check=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stderr=subprocess.DEVNULL,
    )
    _say("building what is deployed")
    deployed = deploy(folder / "deployed")
    sizes = {"image": deployed.image_mb, "layers": layers_mb(folder / "layers")}
    results: dict[str, Any] = {"machine": {**machine.describe(), "rounds": str(rounds)}, "sizes_mb": sizes}
    sections: dict[str, Callable[[], Measured]] = {
        "cold": lambda: cold.measure(paths, deployed, peers, rounds),
        "warm": lambda: warm.measure(paths, peers, rounds),
        "recordings": lambda: recordings.measure(paths, rounds),
        "load": lambda: load.measure(paths, deployed, free_port(), rounds),
        "tried": lambda: tried.measure(paths, rounds),
        "costs": lambda: costs.measure(paths, deployed, cpus, rounds) if costs.can_limit() else {},
    }
    for name, section in sections.items():
        _say(f"measuring: {name}")
        results[name] = section()
    return results


def _say(what: str) -> None:
    print(what, file=sys.stderr)


if __name__ == "__main__":
    main()
