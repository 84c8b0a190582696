"""Batches whose disk becomes full, is freed, or loses power."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.faults.recordings import TOP_K, Recording
from tests.faults.report import Outcome
from tests.faults.resumption import OUTPUTS, Resumptions, check_bundle, check_store
from tests.faults.small_disk import SmallDisk, small_disk

DISK_BYTES: Final = 2 * 4096  # two results, or about ten lines
FILE_BYTES: Final = 1024  # no result, or one line
RUN_S: Final = 120
FAILED: Final = 2


def run_full_disk(recordings: list[Recording], folder: Path) -> Outcome:
    """Store results on a disk that is full; the run ends with an error, and resumes when there is space."""
    outcome = Outcome("full disk")
    inputs = folder / "recordings"
    inputs.mkdir(parents=True)
    expected: dict[str, Recording] = {}
    for number, recording in enumerate(recordings[::2]):
        (inputs / f"{number}.wav").write_bytes(recording.content)
        expected[f"recordings/{number}.wav"] = recording
    for output in OUTPUTS:
        location = folder / f"disk-{output}"
        with small_disk(location, disk_bytes=DISK_BYTES, file_bytes=FILE_BYTES) as disk:
            outcome.inputs += len(expected)
            _check(output, disk, expected, outcome)
    return outcome


def _check(output: str, disk: SmallDisk, expected: dict[str, Recording], outcome: Outcome) -> None:
    run = _classify(disk, output)
    outcome.faults[f"full disk: {type(disk).__name__}"] += 1
    if run.returncode != FAILED or "cannot be stored" not in run.stderr or "Traceback" in run.stderr:
        outcome.crashes += 1
        outcome.findings.append(f"crash: {output}: status {run.returncode}: {run.stderr[-500:]}")
    disk.free()
    run = _classify(disk, output)
    if run.returncode != 1 or "Traceback" in run.stderr:  # there are recordings that cannot be classified
        outcome.crashes += 1
        outcome.findings.append(f"crash: {output} resumed: status {run.returncode}: {run.stderr[-500:]}")
    results = {result["source"]["file"]: result for result in _results(disk.folder / output)}
    for file, recording in expected.items():
        if file not in results:
            outcome.lost += 1
            outcome.findings.append(f"lost: {output}: {file}")
        elif not recording.matches(results[file]):
            outcome.wrong += 1
            outcome.findings.append(f"wrong: {output}: {file}: {results[file]}")


def _classify(disk: SmallDisk, output: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "audio_classifier", "classify", "recordings", "--top-k", str(TOP_K)]
    return subprocess.run(
        [*command, "--output", str(disk.folder / output)],
        cwd=disk.folder.parent,
        env={**os.environ, "AUDIO_CLASSIFIER_THREADS": "1"},
        preexec_fn=disk.prepare_child(),
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )


def _results(output: Path) -> list[Any]:
    if output.is_dir():
        return [json.loads(path.read_bytes()) for path in output.rglob("*.json")]
    return [json.loads(line) for line in output.read_bytes().splitlines()]


def run_power_loss(bundle: Path, random: Random, folder: Path, *, seconds: float) -> Outcome:
    """Resume from the states that power losses leave, for some time."""
    outcome, found = Outcome("power loss"), Resumptions()
    deadline, number = time.monotonic() + seconds, 0
    while number == 0 or time.monotonic() < deadline:
        for output in OUTPUTS:
            check_store(output, folder / f"{number}-{output}", random, found)
        check_bundle(bundle, folder / f"{number}-bundle", random, found)
        number += 1
    outcome.inputs = outcome.faults["power loss"] = found.states
    outcome.lost, outcome.wrong = found.lost, len(found.wrong)
    outcome.findings = found.wrong + (
        [f"lost: {found.lost} results that had been synced"] if found.lost else []
    )
    return outcome
