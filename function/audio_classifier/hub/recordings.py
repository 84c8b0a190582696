"""Download recordings from web servers to temporary files."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from audio_classifier.errors import TransferError
from audio_classifier.hub.deadline import Deadline, run_until
from audio_classifier.hub.remote import WebRemote, download


@contextmanager
def open_recording(url: str, *, max_bytes: int, deadline_s: float) -> Iterator[BinaryIO]:
    """Download a file, open it, and delete it at the end of the block.

    Parameters
    ----------
    url
        ``https://...`` or ``http://...``; redirects are followed, but not to an unencrypted URL from an
        encrypted one.
    max_bytes
        The maximum size of the file.
    deadline_s
        Within how many seconds it must be downloaded.

    Raises
    ------
    TransferError
        If it cannot be downloaded now, is too long or takes too long.
    OSError
        If it cannot be stored.
    """
    remote, stop = WebRemote(url), threading.Event()

    def check(name: str, count: int, size: int | None) -> None:  # noqa: ARG001  # the signature of `Progress`
        if stop.is_set():
            raise TransferError(f"{remote.uri}: the download was cancelled")

    with tempfile.TemporaryDirectory(prefix="audio-classifier-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "recording"
        task = partial(download, remote, "", path, algorithm="sha256", max_bytes=max_bytes, progress=check)
        run_until(Deadline(f"the download of {remote.uri}", deadline_s), [task], threads=1, stop=stop)
        with path.open("rb") as file:
            yield file
