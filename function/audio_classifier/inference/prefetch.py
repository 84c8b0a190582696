"""Work done ahead of whoever waits for it, in threads, in order, and only so far ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_AT_ONCE: Final = 8


def batches_ahead(
    work: Callable[[Item], Result], items: Iterable[Item], *, threads: int, most: int = MOST_AT_ONCE
) -> Generator[list[Result], None, None]:
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
        What ``work`` or the items raise, in its turn.  What was not begun then, or when iterating is given
        up, is never.
    """
    waiting = iter(items)
    ahead: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads)

    def begin(count: int) -> None:
        try:
            ahead.extend(pool.submit(work, item) for item in islice(waiting, count))
        except Exception as error:  # noqa: BLE001  # raised in its turn
            ahead.append(Future())
            ahead[-1].set_exception(error)

    try:
        begin(3 * most)
        while ahead:
            batch = [ahead.popleft().result()]
            while ahead and len(batch) < most and ahead[0].done() and not ahead[0].exception():
                batch.append(ahead.popleft().result())
            begin(len(batch))
            yield batch
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
