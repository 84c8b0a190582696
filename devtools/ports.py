"""Choose ports for test servers and wait until the servers are ready."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable


def free_port() -> int:
    """Return a TCP port that is currently unused."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Return whether a server accepts connections on a local port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answers(url: str) -> bool:
    """Return whether a GET request succeeds."""
    import requests  # imported here to keep the process that starts the benchmarks small

    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


def wait_until(
    condition: Callable[[], bool], *, alive: Callable[[], bool] = lambda: True, timeout_s: float = 30
) -> None:
    """Wait until a condition is true; fail if ``alive`` becomes false or the timeout expires."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert alive(), "the process exited before the condition was met"
        assert time.monotonic() < deadline, f"the condition was not met within {timeout_s} s"
        time.sleep(0.02)
