from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# An import of a module whose entry is None fails, as if the module were not installed.
HELP_WITHOUT_PYTORCH = """
import sys
sys.modules["torch"] = None
from training.__main__ import main
main(["--help"])
"""


def test_help_is_printed_when_pytorch_is_not_installed() -> None:
    command = [sys.executable, "-c", HELP_WITHOUT_PYTORCH]
    finished = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert finished.stdout.startswith("usage: python -m training")
