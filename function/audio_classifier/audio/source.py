"""A file for libsndfile to read, of which errors are not lost."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from typing import Any, BinaryIO, Protocol, TypeAlias, TypeVar, runtime_checkable

from audio_classifier.errors import InvalidParameterError

T = TypeVar("T")


class SeekableFile(Protocol):
    """What is needed of a file object; all of Python's binary files that can seek have it."""

    def read(self, size: int, /) -> bytes | None:
        """Up to ``size`` bytes; nothing at the end."""

    def seek(self, offset: int, whence: int = ..., /) -> int:
        """As `io.IOBase.seek`."""

    def tell(self) -> int:
        """As `io.IOBase.tell`."""

    def seekable(self) -> bool:
        """As `io.IOBase.seekable`."""


@runtime_checkable
class FetchingFile(Protocol):
    """A file object that does better if it knows how much is going to be read."""

    def expect(self, size: int, /) -> None:
        """Be told that so many bytes are going to be read from here on."""


AudioSource: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str] | SeekableFile


class GuardedFile:
    """A file for libsndfile's callbacks, through which no exception can pass: it is kept, and raised after
    the call.

    Without it a network error while reading would look like the end of the file.  It has no ``name``
    either, so that the content decides on the format, not the extension.
    """

    def __init__(self, source: AudioSource) -> None:
        self._owned = True
        self._error: BaseException | None = None
        try:
            if isinstance(source, bytes | bytearray | memoryview):
                self._file: SeekableFile = io.BytesIO(source)
            elif isinstance(source, str | os.PathLike):
                self._file = _open_to_seek(source)
            else:
                self._file, self._owned = source, False
                if not source.seekable() or isinstance(source, io.TextIOBase):
                    raise ValueError("it must be binary, and able to seek")
                source.seek(0)
        except (AttributeError, BufferError, TypeError, ValueError) as error:
            raise InvalidParameterError(
                "source",
                f"not a usable file: {error}",
                hint="Give bytes, a path, or a binary file that can seek.",
            ) from error

    def close(self) -> None:
        if isinstance(self._file, io.IOBase) and self._owned:
            self._file.close()

    def guard(self, call: Callable[[], T]) -> T:
        """Call libsndfile; raise what the file raised meanwhile rather than what libsndfile made of it."""
        try:
            return call()
        finally:
            error, self._error = self._error, None
            if error is not None:
                raise error

    def expect(self, size: int) -> None:
        """Tell the file how many bytes are going to be read from where it is, if it wants to know."""
        if isinstance(self._file, FetchingFile):
            self._file.expect(size)

    def readinto(self, buffer: Any) -> int:
        return self._keep(lambda: self._fill(memoryview(buffer).cast("B")))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._keep(lambda: self._seek(offset, whence))

    def tell(self) -> int:
        return self._keep(self._file.tell)

    def _seek(self, offset: int, whence: int) -> int:
        try:
            return self._file.seek(offset, whence)
        except (ValueError, OSError) as error:
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise
            # A damaged header leads to before the beginning: libsndfile sees that the position stayed.
            return self._file.tell()

    def _fill(self, view: memoryview) -> int:
        """Read until the buffer is full: to libsndfile a short read is the end."""
        done = 0
        while done < len(view):
            data = self._file.read(len(view) - done)
            if not data:
                break
            view[done : done + len(data)] = data
            done += len(data)
        return done

    def _keep(self, call: Callable[[], int]) -> int:
        try:
            return call()
        except BaseException as error:  # noqa: BLE001  # raised again by `guard`
            self._error = self._error or error
            return 0


def _open_to_seek(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file, or read a pipe to its end, for a pipe cannot seek."""
    file = open(path, "rb")  # noqa: SIM115  # closed by `GuardedFile.close`
    if file.seekable():
        return file
    with file:
        return io.BytesIO(file.read())
