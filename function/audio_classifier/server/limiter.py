"""Limit how many requests are processed at once, and how many may wait."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import anyio
import anyio.to_thread

from audio_classifier.errors import BusyError
from audio_classifier.server.timing import record_stage

T = TypeVar("T")


class ConcurrencyLimiter:
    """Run work in threads: limit the concurrency, bound the queue, and refuse the rest."""

    def __init__(self, max_concurrency: int, max_queue: int) -> None:
        self._limiter = anyio.CapacityLimiter(max_concurrency)
        self._free_slots = max_concurrency + max_queue

    @property
    def waiting(self) -> int:
        """How much work waits for a thread."""
        return self._limiter.statistics().tasks_waiting

    async def run(self, work: Callable[[], T]) -> T:
        """Call ``work`` in a thread as soon as one is free.

        Raises
        ------
        BusyError
            If the queue is full.
        """
        with self._slot():
            return await anyio.to_thread.run_sync(_timed(work), limiter=self._limiter)

    async def stream(self, items: Iterator[T]) -> AsyncIterator[T]:
        """Yield items, each computed in a thread; other work may run between two items.

        After the first item the stream no longer counts in the queue, and it waits for a thread for each
        item: neither its length nor a client that reads slowly keeps others out.

        Raises
        ------
        BusyError
            Before the first item, if the queue is full.
        """
        item = await self.run(lambda: next(items, None))
        while item is not None:
            yield item
            item = await anyio.to_thread.run_sync(next, items, None, limiter=self._limiter)

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if self._free_slots == 0:
            raise BusyError("too many requests are waiting")
        self._free_slots -= 1
        try:
            yield
        finally:
            self._free_slots += 1


def _timed(work: Callable[[], T]) -> Callable[[], T]:
    """Return work that records how long it has waited when it is called."""
    begin = time.perf_counter()

    def call() -> T:
        record_stage("queue", time.perf_counter() - begin)
        return work()

    return call
