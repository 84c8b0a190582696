"""Fixtures that compute the same on this machine and on emulated CPUs."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from audio_classifier.cpus import available_cpus
from tests.arm64.emulated import CPUS, REPOSITORY, ROOT, Cpu
from tests.arm64.probe import compute

SHARED = REPOSITORY.parent / "shared"
MN04 = SHARED / "models/efficientat-mn04/mn04_as_mAP_432.pt"


@dataclass(frozen=True)
class Computed:
    """The results of `probe` on this machine, and those and the standard error of each emulated CPU."""

    sounds: list[Path]
    here: Mapping[str, NDArray[Any]]
    emulated: Mapping[Cpu, Mapping[str, NDArray[Any]]]
    errors: Mapping[Cpu, str]


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the folder that make_root.sh makes."""
    if platform.machine() != "x86_64":
        pytest.skip("arm64 is emulated only on x86-64")
    if not ROOT.is_dir():
        pytest.skip("`make test-arm64` makes the folder that these tests need")
    return ROOT


@pytest.fixture(scope="session")
def computed(root: Path, compact: Path, assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Computed:
    """Classify all sounds on all CPUs, with as many processes at a time as this machine has CPUs."""
    folder = tmp_path_factory.mktemp("computed")
    bundles = [str(compact)]
    if MN04.exists():
        bundles.append(str(folder / "mn04"))
        command = [sys.executable, "-m", "audio_classifier", "bundle", "import-efficientat", "mn04"]
        subprocess.run([*command, bundles[-1], "--from", MN04], check=True, capture_output=True)
    sounds = sorted(assets.glob("*.wav")) + sorted(SHARED.glob("samples/*.wav"))
    names = [str(path) for path in sounds]

    def emulate(cpu: Cpu) -> tuple[Mapping[str, NDArray[Any]], str]:
        out = folder / f"{cpu}.npz"
        _, errors = cpu.run(REPOSITORY / "tests/arm64/probe.py", out, *bundles, "--", *names)
        with np.load(out) as arrays:
            return dict(arrays), errors

    with ThreadPoolExecutor(available_cpus()) as pool:
        results = dict(zip(CPUS, pool.map(emulate, CPUS), strict=True))
    return Computed(
        sounds,
        compute(bundles, names),
        {cpu: arrays for cpu, (arrays, _) in results.items()},
        {cpu: errors for cpu, (_, errors) in results.items()},
    )
