"""The fuzzer of the decoder, for every format."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

from tests.faults.report import Outcome
from tests.fuzz.run import Report, fuzz

PROCESSES: Final = 2


def run_decoder(random: Random, folder: Path, *, seconds: float) -> Outcome:
    """Read mutated files for some time."""
    outcome = Outcome("decoder")
    run = partial(fuzz, max_s=seconds, folder=folder)
    # The fuzzer forks, which only a process with one thread may do.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        reports = [pool.submit(_fuzz, run, random.randrange(1 << 32)) for _ in range(PROCESSES)]
        for report in reports:
            _add(report.result(), outcome)
    return outcome


def _fuzz(run: partial[Report], seed: int) -> Report:
    return run(seed=seed)


def _add(report: Report, outcome: Outcome) -> None:
    outcome.inputs += report.counts.total()
    outcome.faults["mutated file"] += report.counts.total()
    outcome.crashes += report.counts["crash"]
    outcome.hangs += report.counts["hang"]
    outcome.wrong += report.counts["foreign exception"] + report.counts["output"]
    outcome.findings += report.findings
