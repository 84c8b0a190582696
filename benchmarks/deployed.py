"""Build the function as it is deployed: the contents of the image, and the zip function with its layers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.paths import COMPACT, Paths

ROOT: Final = Path(__file__).parents[1]
# The image's settings of the C library.
MALLOC: Final = dict(
    re.findall(r"(MALLOC_\w+)=(\d+)", (ROOT / "Dockerfile.lambda").read_text(encoding="utf-8"))
)


@dataclass(frozen=True, slots=True)
class Deployed:
    """A Python without packages, and the folders that `Dockerfile.lambda` copies into the image."""

    folder: Path

    @property
    def command(self) -> Sequence[str]:
        """The image's entry point."""
        boot = self.folder / "task" / "audio_classifier" / "boot.py"
        return [str(self.folder / "base" / "bin" / "python"), "-P", str(boot)]

    @property
    def variables(self) -> Mapping[str, str]:
        """The image's environment."""
        return {
            "PYTHONPATH": f"{self.folder / 'task'}:{self.folder / 'opt' / 'python'}",
            "PYTHONUNBUFFERED": "1",
            "AUDIO_CLASSIFIER_BUNDLE": str(self.folder / "opt" / "model"),
            **MALLOC,
        }

    def function_variables(self, paths: Paths, model: str) -> Mapping[str, str]:
        """Return `variables` for a function with a model of the tables; the image contains ``compact``."""
        bundle = {} if model == COMPACT else {"AUDIO_CLASSIFIER_BUNDLE": paths.bundle_uri(model)}
        return {**self.variables, **bundle, "AUDIO_CLASSIFIER_WARM_UP": "http"}

    @property
    def image_mb(self) -> float:
        """The size of the image without its base image."""
        return sum(size_mb(self.folder / name) for name in ("task", "opt"))


def deploy(folder: Path) -> Deployed:
    """Build the folders as `Dockerfile.lambda` does, with the built-in model."""
    task, opt = folder / "task", folder / "opt"
    venv.create(folder / "base", with_pip=False, symlinks=True)
    _run("layers/inference/build.sh", opt, "requirements/image.txt")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--root-user-action",
        "ignore",
    ]
    _run(*pip, "--no-deps", "--no-build-isolation", "--no-compile", "--target", task, ".")
    _run(sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", task, opt)
    _run("layers/model/build.sh", opt, "compact")
    return Deployed(folder)


def layers_mb(folder: Path) -> float | None:
    """Build the zip function and its layers; return their unzipped size.

    Returns None if the layers are not byte-compiled because Lambda's version of Python is not installed: the
    deployed layers are larger.
    """
    _run("make", "layers", f"BUILD={folder}")
    return size_mb(folder) if any(folder.rglob("*.pyc")) else None


def size_mb(folder: Path) -> float:
    """Return the total size of all files in a folder, in 10^6 bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _run(*command: str | Path) -> None:
    subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHON": sys.executable}, check=True, stdout=subprocess.DEVNULL
    )
