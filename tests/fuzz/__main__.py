"""Fuzz the decoder: ``make fuzz SECONDS=60 SEED=1``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.fuzz.run import fuzz


def main() -> int:
    """Print the report; the exit code is 1 if there are findings."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="determines all inputs (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this time")
    parser.add_argument("--inputs", type=int, help="stop after this number of inputs")
    parser.add_argument("--only", default="", help="only formats whose name contains this text, such as OGG")
    parser.add_argument("--folder", type=Path, default=Path("build/fuzz"), help="where findings are saved")
    options = parser.parse_args()
    report = fuzz(
        seed=options.seed,
        max_inputs=options.inputs,
        max_s=options.seconds,
        folder=options.folder,
        only=options.only,
    )
    print(report)
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
