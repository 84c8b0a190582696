"""What the stages say while they work."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeAlias

_log = logging.getLogger(__name__)

Progress: TypeAlias = Callable[[int, int], None]
"""Told how many patches are done, of how many."""


def show_log() -> None:
    """Show what is logged, with its time."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")


def log_progress(every_s: float = 30.0) -> Progress:
    """Progress as a line in the log now and then."""
    began_s = last_s = time.monotonic()
    first: int | None = None

    def progress(done: int, of: int) -> None:
        nonlocal last_s, first
        first = done if first is None else first
        now_s = time.monotonic()
        if now_s - last_s >= every_s or done == of:
            rate = (done - first) / max(now_s - began_s, 1e-9)
            _log.info("%d of %d patches, %.0f a second", done, of, rate)
            last_s = now_s

    return progress
