"""What the command line shows beside its answers: complaints, logs and progress, all on standard error."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Final

from audio_classifier.errors import AudioClassifierError

if TYPE_CHECKING:  # rich is imported when there is something to show
    import rich.console
    import rich.progress
    from rich.progress import TaskID

    from audio_classifier.hub.remote import Progress

EXIT_TERMINATED: Final = 128 + signal.SIGTERM


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


class FilesProgress:
    """A bar over files, on standard error, if somebody watches.

    Parameters
    ----------
    count
        How many there are: asked for in a thread of its own, for to count may take long.
    steady
        Whether the bar may stand all the time; else it is there only in `working`, and what is printed to
        standard output in between shares no line with it.
    """

    def __init__(self, count: Callable[[], int], *, steady: bool) -> None:
        self._count, self._steady = count, steady
        self._bar: rich.progress.Progress | None = None
        self._failed = 0

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it, if it is to stand all the time."""
        if not sys.stderr.isatty():
            yield
            return
        self._bar = _files_bar(redirect_stderr=self._steady)
        self._task = self._bar.add_task("classifying", total=None, failed="")
        threading.Thread(target=self._find_total, args=(self._bar,), daemon=True).start()
        with self._bar if self._steady else nullcontext():
            yield

    @contextmanager
    def working(self) -> Iterator[None]:
        """Show it as long as this is entered."""
        with self._bar if self._bar and not self._steady else nullcontext():
            yield

    def advance(self, *, failed: bool) -> None:
        """One file more is done."""
        self._failed += failed
        if self._bar:
            told = f"{self._failed} failed" if self._failed else ""
            self._bar.update(self._task, advance=1, failed=told)

    def _find_total(self, bar: rich.progress.Progress) -> None:
        # Of errors whoever needs the files tells, not who needs only their number.
        with suppress(AudioClassifierError, OSError):
            bar.update(self._task, total=self._count())


def _files_bar(*, redirect_stderr: bool) -> rich.progress.Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(TextColumn):
        def render(self, task: rich.progress.Task) -> Text:
            # Of all the time: within one batch files are done in no time.
            return Text(f"{task.completed / task.elapsed:.1f}/s" if task.elapsed else "")

    columns = (
        *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate("")),
        *(TimeRemainingColumn(), TextColumn("{task.fields[failed]}", style="red")),
    )
    return Progress(
        *columns,
        console=_stderr_console(),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=redirect_stderr,
    )


@contextmanager
def terminated_cleanly() -> Iterator[None]:
    """Let SIGTERM end the process as Ctrl-C does, by an exception: what is under way is cleaned up."""

    def leave(*_: object) -> None:
        raise SystemExit(EXIT_TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
    say(f"audio-classifier: {message}")
    if hint:
        say(f"  {hint}")


def say(message: str) -> None:
    """Tell people, not programs, in one line; what a file's name would do to their terminal it does not."""
    shown = (letter if letter.isprintable() else ascii(letter)[1:-1] for letter in message)
    print("".join(shown), file=sys.stderr)
