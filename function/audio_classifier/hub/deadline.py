"""Bound the time of work that waits for servers, whatever they do."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from typing import Final, TypeVar

from audio_classifier.errors import TransferError

T = TypeVar("T")

STOP_S: Final = 1.0  # how long tasks may take to stop after another one failed


class Deadline:
    """A moment until which work must be done.

    Parameters
    ----------
    what
        The subject of the error's message, such as ``the download of ...``.
    seconds
        From now to the deadline; None for none.
    """

    def __init__(self, what: str, seconds: float | None) -> None:
        self._what = what
        self._seconds = seconds
        self._end = None if seconds is None else time.monotonic() + seconds

    @property
    def remaining_s(self) -> float | None:
        """Seconds to the deadline, at least 0; None without a deadline."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def error(self, reason: str) -> TransferError:
        """Return the error for work that is not done at the deadline."""
        return TransferError(
            f"{self._what} took longer than {self._seconds:g} s: {reason}",
            hint="Check the network and the server, or raise AUDIO_CLASSIFIER_DOWNLOAD_DEADLINE_S.",
        )


def run_until(
    deadline: Deadline, tasks: Sequence[Callable[[], T]], *, threads: int, stop: threading.Event
) -> list[T]:
    """Run tasks in daemon threads, and return their results in order.

    No call can be interrupted that waits for a server, so a thread that does not stop is abandoned; it does
    not keep the process from ending.

    Parameters
    ----------
    stop
        Set when a task fails or the deadline passes: the other tasks should end, and no further one starts.

    Raises
    ------
    TransferError
        At the deadline.
    Exception
        What a task raises.
    """
    futures: list[Future[T]] = [Future() for _ in tasks]
    waiting = deque(zip(tasks, futures, strict=True))
    for _ in range(min(threads, len(tasks))):
        threading.Thread(target=_work, args=(waiting, stop), daemon=True).start()
    try:
        finished, unfinished = wait(futures, deadline.remaining_s, FIRST_EXCEPTION)
        for future in finished:
            future.result()
        if unfinished:
            raise deadline.error("the server sends too slowly, or not at all")
    except BaseException:
        stop.set()
        wait(futures, STOP_S)
        raise
    return [future.result() for future in futures]


def _work(waiting: deque[tuple[Callable[[], T], Future[T]]], stop: threading.Event) -> None:
    while True:
        try:
            task, future = waiting.popleft()
        except IndexError:
            return
        if stop.is_set():
            future.cancel()
        if not future.set_running_or_notify_cancel():
            continue
        try:
            future.set_result(task())
        except BaseException as error:  # noqa: BLE001  # raised by the thread that waits
            future.set_exception(error)
