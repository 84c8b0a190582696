"""Tests of layers/model/build.sh and of `make image`: how each bundle gets into an image."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "layers" / "model" / "build.sh"


@pytest.mark.parametrize(
    ("bundle", "options", "expected"),
    [
        ("compact", [], "copy compact /opt/model"),
        ("s3://models/a/", [], "copy s3://models/a/ /opt/model"),
        ("./mn04", [], "copy ./mn04 /opt/model"),
        ("max", ["--precision", "int8"], "import-max /opt/model --precision int8"),
        ("mn04", [], "import-efficientat mn04 /opt/model"),
        ("mn40", ["--precision", "float16"], "import-efficientat mn40 /opt/model --precision float16"),
    ],
)
def test_bundle_is_imported_or_copied_by_its_name(
    tmp_path: Path, bundle: str, options: list[str], expected: str
) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    run = subprocess.run(
        [BUILD, "/opt", bundle, *options],
        env={**os.environ, "PYTHON": str(python)},
        capture_output=True,
        check=True,
        text=True,
    )
    assert run.stdout.strip() == f"-m audio_classifier bundle {expected}"


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    ("bundle", "is_copied"),
    [
        ("compact", False),
        ("mn04", False),
        ("https://example.org/mn04/", False),
        ("s3://models/mn04/", True),
        ("assets/bundles/compact", True),
    ],
)
def test_make_image_copies_bundles_that_the_build_cannot_read(bundle: str, is_copied: bool) -> None:
    command = ["make", "--dry-run", "image", "ENGINE=docker", f"BUNDLE={bundle}"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    assert ("layers/model/build.sh build/image" in run.stdout) == is_copied
    assert ('--build-arg BUNDLE="model"' in run.stdout) == is_copied
