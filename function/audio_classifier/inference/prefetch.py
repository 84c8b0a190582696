"""Compute results ahead of their use, in threads, in order and in bounded number."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_BATCH: Final = 8
QUEUED_BATCHES: Final = 3


def prefetched_batches(
    work: Callable[[Item], Result], items: Iterable[Item], *, threads: int, max_batch: int = MAX_BATCH
) -> Generator[list[Result], None, None]:
    """Yield the results of ``work`` in the order of the items, in batches of as many as are ready.

    Parameters
    ----------
    work
        Called in ``threads`` threads.
    items
        Consumed one by one, in the thread that iterates.
    max_batch
        The maximum size of a batch.  Three times as many items are in progress, whatever their number.

    Raises
    ------
    Exception
        Whatever ``work`` or the items raise, at its position in the order.  Items that have not been started
        by then, or when the generator is closed, are not processed.
    """
    waiting = iter(items)
    started: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads)

    def start(count: int) -> None:
        try:
            started.extend(pool.submit(work, item) for item in islice(waiting, count))
        except Exception as error:  # noqa: BLE001  # raised at its position
            failed: Future[Result] = Future()
            failed.set_exception(error)
            started.append(failed)

    try:
        start(QUEUED_BATCHES * max_batch)
        while started:
            batch = [started.popleft().result()]
            while started and len(batch) < max_batch and started[0].done() and not started[0].exception():
                batch.append(started.popleft().result())
            start(len(batch))
            yield batch
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
