"""Write small files in batches, so that each exists completely or not at all, even after a power loss."""

from __future__ import annotations

import os
import shutil
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final
from uuid import uuid4

from audio_classifier.durability import SYNC_THREADS, make_directory, sync_directory

MAX_PENDING: Final = 32
MAX_PENDING_S: Final = 1.0


class FileBatch:
    """Collect files, write and sync them under temporary names, and rename them.

    Waiting for the disk after each file would take longer than classifying a recording.  Files are therefore
    held in memory until there are `MAX_PENDING`, or `MAX_PENDING_S` after the last batch; those that are
    further apart are written at once.  A batch is written while the next one is collected.

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
        self._changed = make_directory(folder)  # directories with new entries, to be synced
        self._temporary = folder / f".partial-{uuid4()}"  # unique, also among machines that share the folder
        self._temporary.mkdir()  # fails now if the folder is not writable
        self._temporary.rmdir()
        self._pending: dict[Path, bytes] = {}
        self._in_progress: dict[Path, bytes] = {}
        self._batch: Future[None] | None = None
        self._started_s = float("-inf")
        self._background = ThreadPoolExecutor(1, thread_name_prefix="batch")
        self._pool = ThreadPoolExecutor(SYNC_THREADS, thread_name_prefix="files")

    def read(self, path: Path) -> bytes:
        """Return the content of a file, which may be waiting to be written.

        Raises
        ------
        OSError
            If it does not exist, or cannot be read.
        """
        for waiting in (self._pending, self._in_progress):  # in the order in which a file passes through them
            if (content := waiting.get(path)) is not None:
                return content
        return path.read_bytes()

    def write(self, path: Path, content: bytes) -> None:
        """Write or replace a file, soon.

        Raises
        ------
        OSError
            If this file or an earlier one cannot be written.
        """
        if any(parent in self._pending or parent in self._in_progress for parent in path.parents):
            self.flush()  # so that the file is in the way of the directory
        self._changed |= make_directory(path.parent)
        self._pending[path] = content
        if len(self._pending) >= MAX_PENDING or time.monotonic() >= self._started_s + MAX_PENDING_S:
            self._start()

    def flush(self) -> None:
        """Write all files that are waiting; those that cannot be written are dropped.

        Raises
        ------
        OSError
            If a file cannot be written; all others are.
        """
        self._start()
        self._wait()

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
            self._background.shutdown()
            self._pool.shutdown()

    def _start(self) -> None:
        self._wait()
        self._in_progress = self._pending
        self._pending = {}
        changed, self._changed = self._changed, set()
        self._batch = self._background.submit(self._store, self._in_progress, changed)
        self._started_s = time.monotonic()

    def _wait(self) -> None:
        batch, self._batch = self._batch, None
        if batch:
            batch.result()

    def _store(self, batch: dict[Path, bytes], changed: set[Path]) -> None:
        errors = []
        try:
            if batch:
                self._temporary.mkdir()
            writes = {
                path: self._pool.submit(_write, self._temporary / str(number), content)
                for number, (path, content) in enumerate(batch.items())
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
            self._in_progress = {}
        for directory in changed:
            sync_directory(directory)
        if errors:
            raise errors[0]


def _write(path: Path, content: bytes) -> Path:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return path
