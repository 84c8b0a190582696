"""A proxy in front of S3 that temporarily answers 503, as S3 does under high load."""

from __future__ import annotations

from tests.e2e.proxy import Answer, Proxy


class Unreliable(Proxy):
    """Answer a given number of requests with 503, and forward all others.

    Attributes
    ----------
    refuse
        The number of requests that are still to be answered with 503, by method.
    refused
        The number of requests that were answered with 503.
    """

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.refuse: dict[str, int] = {}
        self.refused = 0

    def own_answer(self, method: str, path: str, body: bytes) -> Answer | None:
        if self.refuse.get(method, 0) == 0:
            return None
        self.refuse[method] -= 1
        self.refused += 1
        return Answer(503)
