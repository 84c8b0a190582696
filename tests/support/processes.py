"""Processes that tests interrupt."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from typing import Any


def start_interruptible(command: Sequence[Any], **options: Any) -> subprocess.Popen[Any]:
    """Start a process that SIGINT ends, also if the tests run in the background of a shell.

    Such a shell lets its children ignore the signal, and Python then installs no handler.
    """
    return subprocess.Popen(
        command, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **options
    )
