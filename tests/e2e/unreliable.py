"""A proxy in front of S3 that answers 503 for a while, as S3 does when it is asked too much."""

from __future__ import annotations

from tests.e2e.proxy import Answer, Proxy


class Unreliable(Proxy):
    """Refuses what it is told to.

    Attributes
    ----------
    refuse
        How many more requests of each method are answered with 503.
    refused
        How many were.
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
