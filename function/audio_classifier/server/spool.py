"""Hold request bodies in memory or temporary files, with limits for all bodies together."""

from __future__ import annotations

import errno
import logging
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import BinaryIO, Final, cast

import anyio
import anyio.to_thread

from audio_classifier.errors import BusyError, StorageFullError

SPOOL_BYTES: Final = 4 << 20  # larger bodies go to a temporary file
MAX_MEMORY_BYTES: Final = 32 << 20  # of all bodies; when it is used up, smaller bodies go to files, too

_log = logging.getLogger(__name__)


class Spool:
    """The storage of all request bodies of a server.

    Parameters
    ----------
    max_bodies
        How many bodies may be held at the same time.
    max_bytes
        How many bytes they may have together, in memory and in temporary files.
    """

    def __init__(self, max_bodies: int, max_bytes: int) -> None:
        self._max_bodies = max_bodies
        self._max_bytes = max_bytes
        self._bodies = 0
        self._lock = threading.Lock()  # for the numbers of bytes, which threads change
        self._bytes = 0
        self._memory_bytes = 0

    @asynccontextmanager
    async def body(self) -> AsyncIterator[SpooledBody]:
        """Yield an empty body, and release its storage at the end of the block.

        Raises
        ------
        BusyError
            If too many bodies are held.
        """
        if self._bodies >= self._max_bodies:
            raise BusyError("too many request bodies are being received or processed")
        self._bodies += 1
        body = SpooledBody(self)
        try:
            yield body
        finally:
            self._bodies -= 1
            if body.in_memory:
                body.close()
            else:
                # Deleting a file may take long; a cancelled task must wait for it as well.
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(body.close)

    def has_memory(self, count: int) -> bool:
        """Return whether ``count`` more bytes may be held in memory."""
        return self._memory_bytes + count <= MAX_MEMORY_BYTES

    def reserve(self, count: int) -> None:
        """Count bytes that a body is going to hold; raises `BusyError` if there is no space for them."""
        with self._lock:
            if self._bytes + count > self._max_bytes:
                raise BusyError(f"the request bodies must have at most {self._max_bytes} bytes together")
            self._bytes += count

    def release(self, count: int) -> None:
        """Count bytes that a body no longer holds."""
        with self._lock:
            self._bytes -= count

    def change_memory(self, count: int) -> None:
        """Count bytes that a body holds in memory, or no longer does."""
        with self._lock:
            self._memory_bytes += count


class SpooledBody:
    """One body: in memory while it is small and the spool has memory, otherwise in a temporary file.

    Attributes
    ----------
    file
        The content.
    size
        Its length in bytes.
    in_memory
        Whether it is in memory.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._file = tempfile.SpooledTemporaryFile()  # noqa: SIM115  # `Spool.body` closes it
        self.file = cast("BinaryIO", self._file)
        self.size = 0
        self.in_memory = True

    def fits_in_memory(self, count: int) -> bool:
        """Return whether ``count`` more bytes are written to memory, so that `write` does not block."""
        return self.in_memory and self.size + count <= SPOOL_BYTES and self._spool.has_memory(count)

    def write(self, data: bytes) -> None:
        """Append to the body.

        Raises
        ------
        BusyError
            If the bodies would be larger together than the spool permits.
        StorageFullError
            If the disk is full.
        """
        self._spool.reserve(len(data))
        if self.fits_in_memory(len(data)):
            self._spool.change_memory(len(data))
            self.size += len(data)
            self._file.write(data)
            return
        in_memory, self.in_memory = self.in_memory, False
        if in_memory:
            self._spool.change_memory(-self.size)
        self.size += len(data)
        with _full_disk_reported():
            if in_memory:
                self._file.rollover()
            self._file.write(data)

    def finish(self) -> None:
        """Write everything to the disk, and return to the beginning; raises `StorageFullError`."""
        with _full_disk_reported():
            self._file.seek(0)

    def close(self) -> None:
        """Delete the content."""
        with suppress(OSError):  # a full disk also refuses what a file has buffered
            self._file.close()
        self._spool.release(self.size)
        if self.in_memory:
            self._spool.change_memory(-self.size)


@contextmanager
def _full_disk_reported() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # tempfile raises ENOENT if no directory accepts its files.
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.ENOENT):
            raise
        _log.error("a request body cannot be stored: %s", error)
        raise StorageFullError("the disk has no space for the request body") from error
