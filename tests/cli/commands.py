"""Run commands of the command line, in this process or as the installed program."""

from __future__ import annotations

import sys
from pathlib import Path

from audio_classifier.cli.parser import main

COMMAND = Path(sys.executable).with_name("audio-classifier")


def run(*arguments: object) -> int:
    """Run a command in this process; return its exit status."""
    return main([str(argument) for argument in arguments])
