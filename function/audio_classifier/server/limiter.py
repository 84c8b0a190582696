"""So much work at once, so much waiting, and no more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import anyio
import anyio.to_thread

from audio_classifier.errors import BusyError

T = TypeVar("T")


class Gate:
    """Runs work in threads, so much at once, so much waiting, and turns the rest away."""

    def __init__(self, max_concurrency: int, max_queue: int) -> None:
        self._limiter = anyio.CapacityLimiter(max_concurrency)
        self._places = max_concurrency + max_queue

    async def run(self, work: Callable[[], T]) -> T:
        """Do the work when its turn comes.

        Raises
        ------
        BusyError
            If as many requests wait as may.
        """
        with self._place():
            return await anyio.to_thread.run_sync(work, limiter=self._limiter)

    async def stream(self, items: Iterator[T]) -> AsyncIterator[T]:
        """Items as they are made, each when its turn comes: long streams let others in between.

        Raises
        ------
        BusyError
            If as many requests wait as may; before the first item.
        """
        with self._place():
            while True:
                item = await anyio.to_thread.run_sync(next, items, None, limiter=self._limiter)
                if item is None:
                    return
                yield item

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._places == 0:
            raise BusyError("too many requests are waiting")
        self._places -= 1
        try:
            yield
        finally:
            self._places += 1
