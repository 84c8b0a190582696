"""Logging and progress reports of the training stages."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeAlias

_log = logging.getLogger(__name__)

Progress: TypeAlias = Callable[[int, int], None]
"""Callback that receives the number of finished patches and their total."""


def show_log() -> None:
    """Write log messages and their time to standard error."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")


def log_progress(every_s: float = 30.0) -> Progress:
    """Return a callback that logs the progress every ``every_s`` seconds and at the end."""
    began_s = last_s = time.monotonic()
    first: int | None = None

    def progress(done: int, of: int) -> None:
        nonlocal last_s, first
        first = done if first is None else first
        now_s = time.monotonic()
        if now_s - last_s >= every_s or done == of:
            rate = (done - first) / max(now_s - began_s, 1e-9)
            _log.info("%d of %d patches, %.0f per second", done, of, rate)
            last_s = now_s

    return progress
