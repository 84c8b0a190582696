"""Where servers of tests listen, and when they do."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable


def free_port() -> int:
    """A TCP port that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answers(url: str) -> bool:
    """Whether a request succeeds."""
    import requests  # large, for a process that starts those that are measured

    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


def wait_until(happens: Callable[[], bool], *, alive: Callable[[], bool], timeout_s: float = 30) -> None:
    """Wait for something, as long as whoever should bring it about is alive."""
    deadline = time.monotonic() + timeout_s
    while not happens():
        assert alive(), "it has ended"
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.02)
