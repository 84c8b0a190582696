"""A proxy in front of S3 and EventBridge that injects faults at random."""

from __future__ import annotations

import threading
import time
from collections import Counter
from random import Random
from typing import Final
from urllib.parse import urlsplit

from tests.e2e.proxy import Answer, Proxy

KINDS: Final = ("500", "503 SlowDown", "closed before", "closed after", "truncated body", "latency")
MAX_LATENCY_S: Final = 0.5
# Of each object: the function's client tries three times, and the queue delivers a message five times.
MAX_FAULTS: Final = 4
EVENT_BRIDGE: Final = "/"  # the path of all its requests
ERROR: Final = "<?xml version='1.0'?><Error><Code>{}</Code><Message>injected</Message></Error>"


class FaultyS3(Proxy):
    """Forward requests, some of them with a fault.

    Parameters
    ----------
    target
        The URL of S3 and EventBridge.
    probability
        Of a fault in each request.

    Attributes
    ----------
    faults
        How many faults of each kind were injected.
    """

    def __init__(self, target: str, random: Random, probability: float) -> None:
        super().__init__(target)
        self._random, self._probability = random, probability
        self._by_path: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.faults: Counter[str] = Counter()

    def own_answer(self, method: str, path: str, body: bytes) -> None:
        """Forward every request."""

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """Forward a request, or inject a fault before, instead or afterwards."""
        fault = self._draw(urlsplit(path).path)
        match fault:
            case "500":
                return self._error(method, 500, "InternalError")
            case "503 SlowDown":
                return self._error(method, 503, "SlowDown")
            case "closed before":
                raise ConnectionAbortedError  # closes the connection to the client
            case "latency":
                with self._lock:
                    latency_s = self._random.uniform(0.05, MAX_LATENCY_S)
                time.sleep(latency_s)
        answer = super().forward(method, path, headers, body)
        if fault == "closed after":
            raise ConnectionAbortedError
        if fault == "truncated body" and answer.content_length is None:
            return Answer(
                answer.status,
                answer.body[: len(answer.body) // 2],
                answer.headers,
                str(len(answer.body)),
                closes=True,
            )
        return answer

    def _draw(self, path: str) -> str | None:
        with self._lock:
            if self._random.random() >= self._probability:
                return None
            kind = self._random.choice(KINDS)
            if kind != "latency":
                if path != EVENT_BRIDGE and self._by_path[path] == MAX_FAULTS:
                    return None
                self._by_path[path] += 1
            self.faults[kind] += 1
            return kind

    def _error(self, method: str, status: int, code: str) -> Answer:
        return Answer(status, b"" if method == "HEAD" else ERROR.format(code).encode())
