"""Work done ahead of whoever waits for it, in threads, in order, and only so far ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_AT_ONCE: Final = 8


def batches_ahead(
    work: Callable[[Item], Result], items: Iterable[Item], *, threads: int, most: int = MOST_AT_ONCE
) -> Iterator[list[Result]]:
    """What ``work`` makes of the items, in their order, as many at once as are ready.

    Parameters
    ----------
    work
        Called in ``threads`` threads.
    items
        Taken one by one, in the thread that iterates.
    most
        Results given at once.  Three times as many items are under way, whatever their number.

    Raises
    ------
    Exception
        What ``work`` raises, in its turn.  What was not begun then, or when iterating is given up, is never.
    """
    waiting = iter(items)
    ahead: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        ahead.extend(pool.submit(work, item) for item in islice(waiting, 3 * most))
        while ahead:
            batch = [ahead.popleft().result()]
            while ahead and len(batch) < most and ahead[0].done():
                batch.append(ahead.popleft().result())
            ahead.extend(pool.submit(work, item) for item in islice(waiting, len(batch)))
            yield batch
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
