"""A proxy in front of S3 that temporarily answers 503, as S3 does under high load, or responds slowly."""

from __future__ import annotations

import time

from tests.e2e.proxy import Answer, Proxy


class Unreliable(Proxy):
    """Answer a given number of requests with 503, and forward all others.

    Attributes
    ----------
    refuse
        The number of requests that are still to be answered with 503, by method, or method and path.
    refused
        The number of requests that were answered with 503.
    delays_s
        The pause before a request is answered, by method and path.
    """

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.refuse: dict[str, int] = {}
        self.refused = 0
        self.delays_s: dict[str, float] = {}

    def own_answer(self, method: str, path: str, body: bytes) -> Answer | None:
        request = f"{method} {path}"
        time.sleep(self.delays_s.get(request, 0))
        for name in (method, request):
            if self.refuse.get(name, 0) > 0:
                self.refuse[name] -= 1
                self.refused += 1
                return Answer(503)
        return None
