"""Python on the CPU models that qemu emulates, as processes without an emulated kernel."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[2]
ROOT: Final = REPOSITORY / "build" / "arm64"  # made by make_root.sh
TIMEOUT_S: Final = 900  # emulation is slow, and some machines are, too


@dataclass(frozen=True)
class Cpu:
    """A CPU model of qemu."""

    model: str
    architecture: str = "aarch64"

    def __str__(self) -> str:
        return f"{self.architecture} {self.model}"

    def run(self, *arguments: str | Path, stdin: str = "", **environment: str) -> tuple[str, str]:
        """Run Python with arguments, and return its standard output and standard error."""
        variables = {
            **os.environ,
            "QEMU_CPU": self.model,
            "PYTHONDONTWRITEBYTECODE": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "AUDIO_CLASSIFIER_ISOLATE_DECODING": "false",  # this needs processes that the kernel can start
            **environment,
        }
        python: str | Path = sys.executable
        packages = []
        if self.architecture != platform.machine():
            python = ROOT / "root/usr/bin/python3.11"
            packages = [ROOT / "site/python"]
            variables |= {"QEMU_LD_PREFIX": f"{ROOT / 'root'}", "PYTHONHOME": f"{ROOT / 'root/usr'}"}
        variables["PYTHONPATH"] = os.pathsep.join(map(str, [*packages, REPOSITORY / "function"]))
        run = subprocess.run(
            [ROOT / f"bin/qemu-{self.architecture}", python, *arguments],
            cwd=REPOSITORY,
            env=variables,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert run.returncode == 0, f"{self}: {run.stderr}"
        return run.stdout, run.stderr


GRAVITON2: Final = Cpu("neoverse-n1")
CPUS: Final = (
    GRAVITON2,
    Cpu("neoverse-v1"),  # Graviton3
    Cpu("max"),
    Cpu("Haswell", "x86_64"),  # without AVX-512 and VNNI
)
