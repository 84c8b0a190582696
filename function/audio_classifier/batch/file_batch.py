"""Write small files in batches, so that each exists completely or not at all, even after a power loss."""

from __future__ import annotations

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final
from uuid import uuid4

from audio_classifier.durability import SYNC_THREADS, make_directory, sync_directory

MAX_PENDING: Final = 32
MAX_PENDING_S: Final = 1.0


class FileBatch:
    """Collect files, write and sync them under temporary names, and rename them.

    Waiting for the disk after each file would take longer than classifying a recording.  Files are therefore
    held in memory until there are `MAX_PENDING`, or `MAX_PENDING_S` after the last ones were written; those
    that are further apart are written at once.

    One thread writes; any thread may read.

    Parameters
    ----------
    folder
        The folder for temporary files, which is created; on the file system of all files to write.

    Raises
    ------
    OSError
        If nothing can be written there.
    """

    def __init__(self, folder: Path) -> None:
        self._changed = make_directory(folder)
        self._temporary = folder / f".partial-{uuid4()}"  # unique, also among machines that share the folder
        self._temporary.mkdir()  # fails now if the folder is not writable
        self._temporary.rmdir()
        self._pool = ThreadPoolExecutor(SYNC_THREADS, thread_name_prefix="files")
        self._pending: dict[Path, bytes] = {}
        self._flushed_s = float("-inf")

    def read(self, path: Path) -> bytes:
        """Return the content of a file, which may be waiting to be written.

        Raises
        ------
        OSError
            If it does not exist, or cannot be read.
        """
        pending = self._pending.get(path)
        return path.read_bytes() if pending is None else pending

    def write(self, path: Path, content: bytes) -> None:
        """Write or replace a file, soon.

        Raises
        ------
        OSError
            If this file or an earlier one cannot be written.
        """
        if any(parent in self._pending for parent in path.parents):
            self.flush()  # so that the file is in the way of the directory
        self._changed |= make_directory(path.parent)
        self._pending[path] = content
        if len(self._pending) >= MAX_PENDING or time.monotonic() >= self._flushed_s + MAX_PENDING_S:
            self.flush()

    def flush(self) -> None:
        """Write all files that are waiting; those that cannot be written are dropped.

        Raises
        ------
        OSError
            If a file cannot be written; all others are.
        """
        pending, changed, errors = self._pending, self._changed, []
        if pending:
            self._temporary.mkdir()
        try:
            writes = {
                path: self._pool.submit(_write, self._temporary / str(number), content)
                for number, (path, content) in enumerate(pending.items())
            }
            for path, write in writes.items():
                try:
                    write.result().replace(path)
                except OSError as error:
                    errors.append(error)
                else:
                    changed.add(path.parent)
        finally:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._pending, self._changed = {}, set()  # readers find the files before they are forgotten here
        for directory in changed:
            sync_directory(directory)
        self._flushed_s = time.monotonic()
        if errors:
            raise errors[0]

    def close(self) -> None:
        """Write all files that are waiting, and release the batch.

        Raises
        ------
        OSError
            As for `flush`.
        """
        try:
            self.flush()
        finally:
            self._pool.shutdown()


def _write(path: Path, content: bytes) -> Path:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return path
