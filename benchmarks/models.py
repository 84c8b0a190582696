"""Measure the models of ``bundle list`` on one thread: ``python -m benchmarks.models``.

Writes ``assets/model_measurements.json``.  The weights of models that are imported are random, which does not
change sizes and times.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks import machine
from benchmarks.children import LOG, run, warm_process
from benchmarks.deployed import MALLOC
from benchmarks.measuring import Measured, interleaved
from benchmarks.paths import COMPACT, Paths

ROUNDS: Final = 7
REPEATS: Final = 3
WARM_S: Final = 0.2
MACHINE: Final = ("date", "CPU", "commit")
ASSETS: Final = Path(__file__).parents[1] / "assets"
BUILT_IN: Final = ASSETS / "bundles" / COMPACT
MEASUREMENTS: Final = ASSETS / "model_measurements.json"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.models", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"measurements per model ({ROUNDS})")
    parser.add_argument("--out", type=Path, default=MEASUREMENTS, help="the file to write")
    arguments = parser.parse_args()
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=LOG.parent) as folder:
        paths = Paths(Path(folder).resolve())
        run([sys.executable, "-m", "benchmarks.model_material", folder], {"TF_CPP_MIN_LOG_LEVEL": "3"})
        folders = {
            COMPACT: BUILT_IN,
            **{path.name: path for path in sorted(paths.folder.iterdir()) if path.is_dir()},
        }
        measured = measure(paths, folders, arguments.rounds)
        models = {
            model.removesuffix("-float32"): figures(measured[model], size_bytes(path))
            for model, path in folders.items()
        }
    about = machine.describe(cpus=1)
    document = {"machine": {name: about[name] for name in MACHINE}, "models": models}
    arguments.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def measure(paths: Paths, models: Iterable[str], rounds: int) -> Measured:
    """Measure the CPU time for ten seconds of 44.1 kHz stereo, as ``clip``, and for its ``network``."""
    with ExitStack() as stack:
        subjects = {
            model: warm_process(
                stack,
                *("clip", paths.bundle_uri(model), str(paths.ten_seconds)),
                variables=MALLOC,
                warm_s=WARM_S,
                repeats=REPEATS,
            )
            for model in models
        }
        return interleaved(subjects, rounds)


def figures(seconds: Mapping[str, Sequence[float]], size_bytes: int) -> dict[str, float]:
    """Return the figures of a model: the least time of all rounds, because other load only adds time."""
    times_ms = {
        f"{name}_ms": round(1e3 * min(values), 1) for name, values in seconds.items() if name != "seconds"
    }
    return {"size_bytes": size_bytes, **times_ms}


def size_bytes(folder: Path) -> int:
    """Return the size of a bundle without its manifest."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    return sum(entry["size"] for entry in manifest["files"])


if __name__ == "__main__":
    main()
