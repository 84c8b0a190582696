"""Download recordings from web servers to temporary files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from audio_classifier.hub.download import download_until
from audio_classifier.hub.remote import WebRemote


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
    with tempfile.TemporaryDirectory(prefix="audio-classifier-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "recording"
        download_until(WebRemote(url), path, max_bytes=max_bytes, deadline_s=deadline_s)
        with path.open("rb") as file:
            yield file
