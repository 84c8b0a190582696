"""Messages, logs and progress bars of the command line, all on standard error."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from audio_classifier.errors import AudioClassifierError
from audio_classifier.escaping import PrintableRecords, printable

if TYPE_CHECKING:  # rich is imported only when a bar is shown
    import rich.console
    import rich.progress
    from rich.progress import TaskID

    from audio_classifier.hub.remote import Progress

EXIT_TERMINATED: Final = 128 + signal.SIGTERM


@contextmanager
def native_stderr_hidden() -> Iterator[None]:
    """Hide startup messages of LiteRT and TensorFlow, which no setting turns off.

    Native code writes to the original descriptor, which is redirected to the null device.  Python's
    ``sys.stderr`` writes to the terminal through another descriptor.
    """
    try:
        descriptor = sys.stderr.fileno()
    except io.UnsupportedOperation:  # not a real file, for example in a test
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


def silence_matplotlib() -> None:
    """Hide the warning that matplotlib's cache is elsewhere if the home directory is not writable."""
    import logging

    logging.getLogger("matplotlib").setLevel(logging.ERROR)


@contextmanager
def log_shown() -> Iterator[None]:
    """Show the log messages of this package, and only the errors of TensorFlow."""
    import logging

    for name in ("absl", "tensorflow"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logger, handler = logging.getLogger("audio_classifier"), logging.StreamHandler()
    handler.addFilter(PrintableRecords())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class FilesProgress:
    """A progress bar over files on standard error, shown only if that is a terminal.

    Parameters
    ----------
    count
        Function that counts the files.  It is called in a separate thread, because counting can take long.
    steady
        Whether the bar is visible all the time.  Otherwise it is visible only within `working`, so that it
        does not share a line with text that is printed to standard output in between.
    task
        What is done with the files, in front of the bar.
    """

    def __init__(self, count: Callable[[], int], *, steady: bool, task: str = "classifying") -> None:
        self._count, self._steady, self._name = count, steady, task
        self._bar: rich.progress.Progress | None = None
        self._failed = 0
        self._audio_s = 0.0
        self._counting = threading.Lock()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Prepare the bar, and show it during the block if it is steady."""
        if not sys.stderr.isatty():
            yield
            return
        self._bar = _files_bar(redirect_stderr=self._steady)
        self._task = self._bar.add_task(self._name, total=None, failed="", audio="")
        threading.Thread(target=self._find_total, args=(self._bar,), daemon=True).start()
        with self._bar if self._steady else nullcontext():
            yield

    @contextmanager
    def working(self) -> Iterator[None]:
        """Show the bar during the block, if it is not steady."""
        with self._bar if self._bar and not self._steady else nullcontext():
            yield

    def advance(self, *, failed: bool) -> None:
        """Count one more file as done."""
        self._failed += failed
        if self._bar:
            failures = f"{self._failed} failed" if self._failed else ""
            self._bar.update(self._task, advance=1, failed=failures)

    def add_audio(self, seconds: float) -> None:
        """Count and show audio that was read; any thread may call it."""
        if self._bar:
            with self._counting:
                self._audio_s += seconds
                self._bar.update(self._task, audio=f"{timedelta(seconds=round(self._audio_s))} of audio")

    def _find_total(self, bar: rich.progress.Progress) -> None:
        # Errors are reported when the files are read.
        with suppress(AudioClassifierError, OSError):
            bar.update(self._task, total=self._count())


class AudioProgress:
    """A progress bar over the seconds of one recording on standard error, shown only if that is a terminal.

    Parameters
    ----------
    name
        The recording; the bar has no end if it is not a file, or does not state its length.
    task
        What is done with it, in front of the bar.
    """

    def __init__(self, name: str, *, task: str) -> None:
        self._file, self._name = name, task
        self._bar: rich.progress.Progress | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the bar during the block."""
        if not sys.stderr.isatty():
            yield
            return
        self._bar = _audio_bar()
        self._task = self._bar.add_task(self._name, total=self._duration_s())
        with self._bar:
            yield

    def working(self) -> AbstractContextManager[None]:
        """Do nothing: only the end of the recording is printed."""
        return nullcontext()

    def add_audio(self, seconds: float) -> None:
        """Advance the bar; any thread may call it."""
        if self._bar:
            self._bar.advance(self._task, seconds)

    def advance(self, *, failed: bool) -> None:  # noqa: ARG002  # as of `FilesProgress`
        """Remove the bar, before the result is printed."""
        if self._bar:
            self._bar.stop()

    def _duration_s(self) -> float | None:
        from audio_classifier.audio.reader import AudioReader

        # Errors are reported when the recording is read.
        with suppress(AudioClassifierError, OSError), AudioReader(self._file) as reader:
            return reader.info.duration_s
        return None


def _audio_bar() -> rich.progress.Progress:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Position(TextColumn):
        def render(self, task: rich.progress.Task) -> Text:
            position, length = (
                timedelta(seconds=round(seconds)) for seconds in (task.completed, task.total or 0)
            )
            return Text(f"{position} of {length}" if task.total else f"{position}")

    columns = (TextColumn("{task.description}"), BarColumn(), Position(""), TimeRemainingColumn())
    return Progress(*columns, console=_stderr_console(), transient=True, redirect_stdout=False)


def _files_bar(*, redirect_stderr: bool) -> rich.progress.Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(TextColumn):
        def render(self, task: rich.progress.Task) -> Text:
            # The average over the whole run, because the files of one batch finish at nearly the same time.
            return Text(f"{task.completed / task.elapsed:.1f}/s" if task.elapsed else "")

    columns = (
        *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate("")),
        *(TimeRemainingColumn(), TextColumn("{task.fields[audio]}")),
        TextColumn("{task.fields[failed]}", style="red"),
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
    """Turn SIGTERM into an exception, like that of Ctrl-C, so that unfinished work is cleaned up."""

    def leave(*_: object) -> None:
        raise SystemExit(EXIT_TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def download_progress() -> Iterator[Progress]:
    """Show a progress bar per downloaded file from its first piece on, if standard error is a terminal."""
    lock = threading.Lock()  # files are downloaded in parallel
    tasks: dict[str, TaskID] = {}
    with ExitStack() as stack:
        bars = None

        def advance(name: str, count: int, size: int | None) -> None:
            nonlocal bars
            with lock:
                if bars is None:
                    bars = stack.enter_context(_download_bars())
                if name not in tasks:
                    tasks[name] = bars.add_task(printable(name), total=size)
                bars.advance(tasks[name], count)

        yield advance if sys.stderr.isatty() else lambda *_: None


def _download_bars() -> rich.progress.Progress:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, console=_stderr_console())


def _stderr_console() -> rich.console.Console:
    from rich.console import Console

    return Console(stderr=True)


def print_error(message: str, hint: str = "") -> None:
    """Print an error message and, below it, the hint on how to fix it."""
    print_line(f"audio-classifier: {message}")
    if hint:
        print_line(f"  {hint}")


def print_line(message: str) -> None:
    """Print one line to standard error, escaping characters that could control the terminal."""
    print(printable(message), file=sys.stderr)
