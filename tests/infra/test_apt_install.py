"""Tests of .ci/apt-install with a stub of apt-get."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.infra.manifests import ROOT

# Fails once with the message in $FAILURE, which is a file, and records its arguments.
APT_GET = """#!/bin/sh
echo "$@" >> "$CALLS"
if [ -e "$FAILURE" ]; then cat "$FAILURE" >&2; rm "$FAILURE"; exit 100; fi
"""
LOCKED = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 1 (apt-get)"
UPDATE, INSTALL = "update", "--option DPkg::Lock::Timeout=600 install --yes jq"


def run(folder: Path, failure: str | None = None) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run the script with stubs of apt-get and sleep, and return it and the calls of apt-get."""
    for name, script in (("apt-get", APT_GET), ("sleep", "#!/bin/sh\n")):
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    if failure:
        (folder / "failure").write_text(failure)
    environment = os.environ | {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "CALLS": str(folder / "calls"),
        "FAILURE": str(folder / "failure"),
    }
    command = [str(ROOT / ".ci/apt-install"), "jq"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)
    return done, (folder / "calls").read_text().splitlines()


def test_packages_are_installed_quietly(tmp_path: Path) -> None:
    done, calls = run(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert calls == [UPDATE, INSTALL]


def test_locked_package_lists_are_tried_again(tmp_path: Path) -> None:
    done, calls = run(tmp_path, LOCKED)
    assert done.returncode == 0
    assert calls == [UPDATE, UPDATE, INSTALL]


@pytest.mark.parametrize("failure", ["E: Unable to locate package jq", "E: Failed to fetch"])
def test_other_failure_is_printed_and_not_tried_again(tmp_path: Path, failure: str) -> None:
    done, calls = run(tmp_path, failure)
    assert done.returncode == 1
    assert failure in done.stderr
    assert calls == [UPDATE]
