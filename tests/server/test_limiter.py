from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest
import requests

from audio_classifier.errors import BusyError
from audio_classifier.server.limiter import ConcurrencyLimiter
from tests.server.client import check_error, post
from tests.support.serving import serving
from tests.support.sounds import busy, encode


def run_async(function: Any) -> None:
    """Run an async function in a thread, because Mangum leaves an event loop in the main thread."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(anyio.run, function).result()


def test_concurrency_is_limited_and_waiting_work_is_done() -> None:
    running, most, done = 0, 0, []
    lock = threading.Lock()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1
            done.append(True)

    async def main() -> None:
        limiter = ConcurrencyLimiter(2, 6)
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(limiter.run, work)

    run_async(main)
    assert (most, len(done)) == (2, 8)


def test_work_is_refused_when_the_queue_is_full_and_accepted_afterwards() -> None:
    async def main() -> None:
        limiter, release = ConcurrencyLimiter(1, 1), threading.Event()
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(limiter.run, release.wait)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(BusyError):
                await limiter.run(bool)
            with pytest.raises(BusyError):
                await anext(limiter.stream(iter([1])))
            release.set()
        assert await limiter.run(lambda: 7) == 7

    run_async(main)


def test_slot_is_free_again_after_an_error() -> None:
    async def main() -> None:
        limiter = ConcurrencyLimiter(1, 0)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                await limiter.run(lambda: 1 / 0)
        assert [item async for item in limiter.stream(iter("ab"))] == ["a", "b"]
        assert await limiter.run(lambda: 7) == 7

    run_async(main)


def test_other_work_runs_between_two_items_of_a_stream() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2)

    async def main() -> None:
        limiter = ConcurrencyLimiter(1, 1)
        stream = limiter.stream(items())
        assert await anext(stream) == 1
        assert await limiter.run(lambda: 7) == 7
        assert [item async for item in stream] == [2]

    run_async(main)


def test_requests_beyond_the_queue_are_refused_with_503() -> None:
    with serving(max_concurrency=1, max_queue=2) as (url, shared):
        shared.load()
        release = threading.Event()
        original = shared.classify

        def classify_when_released(*arguments: Any, **options: Any) -> Any:
            release.wait(10)
            return original(*arguments, **options)

        shared.classify = classify_when_released  # type: ignore[method-assign]
        content = encode(busy(1, 16_000), 16_000)
        with ThreadPoolExecutor(8) as pool:
            pending = [pool.submit(post, url, content) for _ in range(8)]
            while sum(future.done() for future in pending) < 5:
                time.sleep(0.01)
            release.set()
            responses = [future.result() for future in pending]
    statuses = sorted(response.status_code for response in responses)
    assert statuses == [200] * 3 + [503] * 5
    refused = next(response for response in responses if response.status_code == 503)
    assert int(refused.headers["Retry-After"]) >= 1
    check_error(refused, 503, "waiting")


def test_liveness_is_reported_while_a_recording_is_classified() -> None:
    with serving(max_concurrency=1) as (url, shared):
        shared.load()
        release = threading.Event()
        shared.classify = lambda *_, **__: release.wait(10)  # type: ignore[assignment, method-assign]
        with ThreadPoolExecutor(1) as pool:
            pending = pool.submit(post, url, encode(busy(1, 16_000), 16_000))
            assert requests.get(f"{url}/healthz", timeout=2).status_code == 200
            release.set()
            pending.result()


def test_lookups_do_not_wait_for_recordings() -> None:
    with serving(max_concurrency=1, max_queue=1) as (url, shared):
        shared.load()
        release = threading.Event()
        shared.classify = lambda *_, **__: release.wait(10)  # type: ignore[assignment, method-assign]
        with ThreadPoolExecutor(2) as pool:
            pending = [pool.submit(post, url, encode(busy(1, 8_000), 8_000)) for _ in range(2)]
            time.sleep(0.3)
            assert requests.get(f"{url}/model/labels", timeout=5).status_code == 200
            release.set()
            for future in pending:
                future.result()
