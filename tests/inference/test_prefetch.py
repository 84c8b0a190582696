from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from itertools import chain

import pytest

from audio_classifier.inference.prefetch import prefetched_batches


def test_results_keep_the_order_of_the_items() -> None:
    def work(item: int) -> int:
        time.sleep(0.02 if item % 5 == 0 else 0)
        return item

    batches = list(prefetched_batches(work, range(50), threads=4, max_batch=3))
    assert list(chain.from_iterable(batches)) == list(range(50))
    assert all(1 <= len(batch) <= 3 for batch in batches)


def test_number_of_items_in_progress_is_bounded() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        while True:
            yield taken
            taken += 1

    batches = prefetched_batches(lambda item: item, items(), threads=2, max_batch=4)
    done = 0
    for _ in range(20):
        done += len(next(batches))
        assert taken <= done + 12
    batches.close()


def test_error_is_raised_at_its_position_and_stops_further_work() -> None:
    started = []

    def work(item: int) -> int:
        started.append(item)
        return 1 // (3 - item)

    batches = prefetched_batches(work, range(1000), threads=1, max_batch=1)
    assert [next(batches) for _ in range(3)] == [[0], [0], [1]]
    with pytest.raises(ZeroDivisionError):
        next(batches)
    assert len(started) < 20


def test_closing_starts_no_more_items() -> None:
    resume, started = threading.Event(), []

    def work(item: int) -> int:
        started.append(item)
        if item:
            resume.wait(10)
        return item

    batches = prefetched_batches(work, range(100), threads=2, max_batch=8)
    assert next(batches) == [0]
    batches.close()
    resume.set()
    assert len(started) <= 4


def test_results_before_an_error_are_yielded_first() -> None:
    def failing_items() -> Iterator[int]:
        yield from range(5)
        raise LookupError

    def work(item: int) -> int:
        return 1 // (5 - item)

    for items, error in ((failing_items(), LookupError), (iter(range(100)), ZeroDivisionError)):
        results: list[int] = []

        def collect(batch: list[int], results: list[int] = results) -> None:
            time.sleep(0.02)  # so that more than one result is ready
            results.extend(batch)

        with pytest.raises(error):
            deque(map(collect, prefetched_batches(work, items, threads=2)), maxlen=0)
        assert results == [0, 0, 0, 0, 1]
