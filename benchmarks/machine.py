"""Describe the machine and the versions that were measured."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

PACKAGES: Final = (
    *("ai-edge-litert", "numpy", "soundfile", "soxr", "fastapi", "mangum", "awslambdaric"),
    *("tensorflow-cpu", "torch", "resampy", "numba"),
)
INSTRUCTIONS: Final = ("avx2", "avx512f", "avx512_vnni", "asimddp")  # that determine the speed of networks


def describe(cpus: int) -> dict[str, str]:
    """Return the machine and the versions for the head of the report."""
    info = _fields(Path("/proc/cpuinfo"))
    present = [name for name in INSTRUCTIONS if name in info.get("flags", info.get("Features", "")).split()]
    memory_kb = int(_fields(Path("/proc/meminfo")).get("MemTotal", "0 kB").split()[0])
    cpu = (
        f"{info.get('model name', platform.machine())}, {' '.join(present)}; {cpus} of {os.cpu_count()} used"
    )
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "CPU": cpu,
        "memory": f"{memory_kb / 1e6:.0f} GB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "versions": ", ".join(f"{name} {_version(name)}" for name in PACKAGES if _version(name)),
        "commit": _commit(),
    }


def _fields(path: Path) -> dict[str, str]:
    """Parse ``name: value`` lines; the first line of each name counts."""
    fields: dict[str, str] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    return fields


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        run = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # git is not installed, or this is not a clone
        return "unknown"
    return run.stdout.strip()
