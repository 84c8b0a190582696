"""Tests of the zip packaging: layers unpacked as in Lambda, on a bare runtime with a read-only root."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from audio_classifier.model.bundle import write_bundle
from audio_classifier.model.manifest import FILES
from infra.zip_template import PYTHON
from tests.e2e.runtime import emulator, running
from tests.image.container import Image
from tests.image.test_function import check, emulation

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(
        emulator() is None, reason="aws-sam-cli, which includes the emulator, is not installed"
    ),
]
ROOT = Path(__file__).parents[2]
MAX_BYTES = 250 << 20  # Lambda's quota: function and layers together, unzipped
RUNTIME_CLIENT = ("awslambdaric", "simplejson", "snapshot-restore-py")


@dataclass(frozen=True)
class Python:
    """An interpreter for the layers: its version, and its prefix on this machine unless the image has it."""

    version: str
    prefix: Path | None = None

    @classmethod
    def for_layers(cls, base_image: Image) -> Python:
        """Return Lambda's version if it is installed on this machine, otherwise that of the base image."""
        script = "import sys; print(sys.base_prefix if {!r} == '%d.%d' % sys.version_info[:2] else '')"
        if command := shutil.which(f"python{PYTHON}"):
            run = subprocess.run([command, "-c", script.format(PYTHON)], capture_output=True, text=True)
            if run.returncode == 0 and run.stdout.strip():
                return cls(PYTHON, Path(run.stdout.strip()))
        own = base_image.run("-c", "import sys; print('%d.%d' % sys.version_info[:2])", entrypoint="python3")
        return cls(own.stdout.decode().strip())


def make_layers(
    build: Path,
    python_version: str,
    *,
    architecture: str = platform.machine(),
    bundle: str | Path = "compact",
) -> Path:
    command = ["make", "layers", f"BUILD={build}", f"RUNTIME_PYTHON={python_version}"]
    command += [f"ARCHITECTURE={architecture}", f"BUNDLE={bundle}"]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    return build


@pytest.mark.parametrize(("architecture", "tag"), [("x86_64", "x86_64"), ("arm64", "aarch64")])
def test_layers_are_built_for_lambda_within_its_quota(tmp_path: Path, architecture: str, tag: str) -> None:
    build = make_layers(tmp_path, PYTHON, architecture=architecture)
    files = [path for path in build.rglob("*") if path.is_file()]
    assert 100 << 20 < sum(path.stat().st_size for path in files) <= MAX_BYTES
    assert (build / "function/audio_classifier/lambda_handler.py").is_file()
    assert (build / "layers/model/model/manifest.json").is_file()
    tags = {tag for path in files for tag in re.findall(r"\.(cpython-\w+-\w+)-linux-gnu\.so$", path.name)}
    assert tags == {f"cpython-{PYTHON.replace('.', '')}-{tag}"}


def test_build_fails_when_model_exceeds_the_quota(tmp_path: Path, compact: Path) -> None:
    files: dict[str, Path | bytes] = {name: compact / name for name in FILES}
    files["ballast"] = bytes(96 << 20)
    write_bundle(tmp_path / "large", files, name="large", version="1", description="", licence="none")
    for bundle in (tmp_path / "large", "max"):
        with pytest.raises(subprocess.CalledProcessError) as failed:
            make_layers(tmp_path / "build", PYTHON, bundle=bundle)
        assert "Leave the model in S3" in failed.value.stderr
        assert not [*tmp_path.glob("build/*"), *tmp_path.glob("build/.*")]


def test_layers_process_events_on_a_bare_runtime(
    base_image: Image, environment: dict[str, str], s3: Any, assets: Path, tmp_path: Path
) -> None:
    python = Python.for_layers(base_image)
    build = make_layers(tmp_path / "build", python.version)
    client = tmp_path / "runtime"
    pinned = [f"{name}=={version(name)}" for name in RUNTIME_CLIENT]
    target = ["--target", str(client), "--python-version", python.version]
    target += ["--only-binary", ":all:", "--no-deps", "--quiet"]
    for glibc in ("manylinux2014", "manylinux_2_28", "manylinux_2_34"):
        target += ["--platform", f"{glibc}_{platform.machine()}"]
    subprocess.run([sys.executable, "-m", "pip", "install", *target, *pinned], check=True)
    mounts = {
        client: "/var/runtime",
        build / "function": "/var/task",
        build / "layers/inference/python": "/opt/python",
        build / "layers/model/model": "/opt/model",
    }
    environment |= {
        "PYTHONPATH": "/var/task:/opt/python:/var/runtime",
        "AUDIO_CLASSIFIER_BUNDLE": "/opt/model",
        "HOME": "/tmp",
    }
    command = "python3"
    if python.prefix:
        mounts[python.prefix] = "/var/lang"
        environment["LD_LIBRARY_PATH"] = "/var/lang/lib"
        command = f"/var/lang/bin/python{python.version}"
    runtime = (command, "-m", "awslambdaric", "audio_classifier.lambda_handler.handler")
    emulate = emulation(base_image, environment, mounts)
    with running(tmp_path / "log", emulate=emulate, runtime=runtime) as function:
        check(function, s3, assets)
