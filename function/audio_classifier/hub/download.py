"""Download one file within a time limit."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

from audio_classifier.errors import TransferError
from audio_classifier.hub.deadline import Deadline, run_until
from audio_classifier.hub.remote import Progress, Remote, download


def download_until(
    remote: Remote,
    target: Path,
    *,
    max_bytes: int,
    deadline_s: float | None,
    progress: Progress | None = None,
) -> None:
    """Download a file to ``target``.

    Parameters
    ----------
    remote
        The file itself, not a folder.
    max_bytes
        The maximum size of the file.
    deadline_s
        Within how many seconds it must be downloaded; None for no limit.
    progress
        Called for every downloaded piece.

    Raises
    ------
    TransferError
        If it cannot be downloaded now, is too long or takes too long.
    OSError
        If it cannot be stored.
    """
    stop = threading.Event()

    def advance(name: str, count: int, size: int | None) -> None:
        if stop.is_set():
            raise TransferError(f"{remote.uri}: the download was cancelled")
        if progress is not None:
            progress(name, count, size)

    task = partial(download, remote, "", target, algorithm="sha256", max_bytes=max_bytes, progress=advance)
    run_until(Deadline(f"the download of {remote.uri}", deadline_s), [task], threads=1, stop=stop)
