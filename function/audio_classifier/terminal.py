"""What the command line shows beside its answers: complaints, logs and progress, all on standard error."""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # rich is imported when there is something to show
    import rich.console
    import rich.progress
    from rich.progress import TaskID

    from audio_classifier.transfer import Progress


@contextmanager
def native_stderr_hidden() -> Iterator[None]:
    """Keep the greetings of LiteRT and TensorFlow, which no setting turns off, from the user's terminal.

    Python's ``sys.stderr`` goes on to it, by another descriptor; only native code writes to the old one.
    """
    try:
        descriptor = sys.stderr.fileno()
    except io.UnsupportedOperation:  # not a real file, as under a test
        yield
        return
    stderr, null = sys.stderr, os.open(os.devnull, os.O_WRONLY)
    with os.fdopen(os.dup(descriptor), "w", buffering=1, errors="backslashreplace") as terminal:
        os.dup2(null, descriptor)
        sys.stderr = terminal
        try:
            yield
        finally:
            sys.stderr = stderr
            os.dup2(terminal.fileno(), descriptor)
            os.close(null)


@contextmanager
def log_shown() -> Iterator[None]:
    """Show what this package logs, and of TensorFlow only errors."""
    for name in ("absl", "tensorflow"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logger, handler = logging.getLogger("audio_classifier"), logging.StreamHandler()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@contextmanager
def progress_over(count: int) -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Give a context for the work on each of ``count`` files, in which a bar is shown if somebody watches.

    Between two of them there is no bar, so that answers may be printed.
    """
    if count < 2 or not sys.stderr.isatty():
        yield nullcontext
        return
    from rich.progress import Progress

    bar = Progress(console=_stderr_console(), transient=True, redirect_stdout=False, redirect_stderr=False)
    task = bar.add_task("classifying", total=count)

    @contextmanager
    def working() -> Iterator[None]:
        with bar:
            yield
        bar.advance(task)

    yield working


@contextmanager
def download_progress() -> Iterator[Progress]:
    """A bar for each file that is downloaded, shown from its first piece on, if somebody watches."""
    lock = threading.Lock()  # files are downloaded side by side
    tasks: dict[str, TaskID] = {}
    with ExitStack() as stack:
        bars = None

        def advance(name: str, count: int, size: int | None) -> None:
            nonlocal bars
            with lock:
                if bars is None:
                    bars = stack.enter_context(_download_bars())
                if name not in tasks:
                    tasks[name] = bars.add_task(name, total=size)
                bars.advance(tasks[name], count)

        yield advance if sys.stderr.isatty() else lambda *_: None


def _download_bars() -> rich.progress.Progress:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, console=_stderr_console())


def _stderr_console() -> rich.console.Console:
    from rich.console import Console

    return Console(stderr=True)


def complain(message: str, hint: str = "") -> None:
    """Say what went wrong and, below it, the way out."""
    print(f"audio-classifier: {message}", file=sys.stderr)
    if hint:
        print(f"  {hint}", file=sys.stderr)
