"""Deadlines and cancellation of work that runs in threads."""

from __future__ import annotations

import math
import os
import time
from typing import Final

from audio_classifier.audio.source import AudioSource, FetchingFile, SeekableFile
from audio_classifier.errors import AudioClassifierError, DeadlineExceededError, RequestCancelledError

# The key of the ASGI scope for the seconds that the platform grants a request; there may be none.
DEADLINE_KEY: Final = "audio_classifier.deadline_s"


class Cancellation:
    """A deadline for work, and the request to stop it earlier.

    A thread cannot be interrupted.  Its work calls `check` between steps, or reads from a file that does
    (`checked`).

    Parameters
    ----------
    deadline_s
        Seconds from now to the deadline; None for none.
    """

    def __init__(self, deadline_s: float | None = None) -> None:
        self._began = time.monotonic()
        self._deadline_s = math.inf if deadline_s is None else deadline_s
        self._cancelled = False

    @property
    def remaining_s(self) -> float:
        """Seconds to the deadline; 0 after it, infinite without one."""
        return max(0.0, self._began + self._deadline_s - time.monotonic())

    def set_deadline(self, deadline_s: float) -> None:
        """Change the deadline to ``deadline_s`` after the object was created."""
        self._deadline_s = deadline_s

    def cancel(self) -> None:
        """Stop the work at its next step."""
        self._cancelled = True

    def check(self) -> None:
        """Return if the work may continue.

        Raises
        ------
        RequestCancelledError
            If `cancel` was called.
        DeadlineExceededError
            If the deadline has passed.
        """
        if self._cancelled or self.remaining_s == 0:
            raise self.error()

    def error(self) -> AudioClassifierError:
        """Return the error that states why the work is stopped."""
        if self._cancelled:
            return RequestCancelledError("the client disconnected before the request was served")
        return DeadlineExceededError(f"the request was not served within {self._deadline_s:g} s")

    def checked(self, source: AudioSource) -> AudioSource:
        """Return the source; if it is a file object, each read checks whether the work may continue."""
        if isinstance(source, bytes | bytearray | memoryview | str | os.PathLike):
            return source
        return CheckedFile(source, self)


class CheckedFile:
    """A file, each read of which checks whether the work may continue; `check` does so in between."""

    def __init__(self, file: SeekableFile, cancellation: Cancellation) -> None:
        self._file = file
        self.check = cancellation.check
        self.seek = file.seek
        self.tell = file.tell
        self.seekable = file.seekable
        if isinstance(file, FetchingFile):
            self.expect = file.expect

    def read(self, size: int, /) -> bytes | None:
        self.check()
        return self._file.read(size)
