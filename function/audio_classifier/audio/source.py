"""Open audio files, and adapt them for libsndfile without losing their exceptions."""

from __future__ import annotations

import errno
import io
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Final, Protocol, TypeAlias, TypeVar, runtime_checkable

from audio_classifier.errors import InvalidParameterError

T = TypeVar("T")

MIN_CHARGE_BYTES: Final = 1024  # for a read of less, because a call costs time whatever its size
OUT_OF_RANGE: Final = (errno.EINVAL, errno.EOVERFLOW)
MAX_POSITION: Final = (1 << 63) - 1  # that a callback of a C library can return


class SeekableFile(Protocol):
    """The file interface that decoding needs; Python's seekable binary files provide it."""

    def read(self, size: int, /) -> bytes | None:
        """Read up to ``size`` bytes; return nothing at the end."""

    def seek(self, offset: int, whence: int = ..., /) -> int:
        """Change the position, as `io.IOBase.seek` does."""

    def tell(self) -> int:
        """Return the position, as `io.IOBase.tell` does."""

    def seekable(self) -> bool:
        """Return whether the file can seek, as `io.IOBase.seekable` does."""


@runtime_checkable
class FetchingFile(Protocol):
    """A file object that reads more efficiently when it knows how many bytes are needed."""

    def expect(self, size: int, /) -> None:
        """Announce that ``size`` bytes will be read from the current position."""


AudioSource: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str] | SeekableFile


class ReadLimitError(Exception):
    """The decoder reads more than it may."""


@contextmanager
def opened(source: AudioSource) -> Iterator[SeekableFile]:
    """Open a recording at its beginning, and close it if it was opened here.

    Parameters
    ----------
    source
        The bytes of a file, a path, or a seekable binary file object (which is left open).  A pipe, which
        cannot seek, is read to its end.

    Raises
    ------
    InvalidParameterError
        If it is none of these.
    OSError
        If the file cannot be opened.
    """
    owned = True
    try:
        if isinstance(source, bytes | bytearray | memoryview):
            file: SeekableFile = io.BytesIO(source)
        elif isinstance(source, str | os.PathLike):
            file = _open_to_seek(source)
        else:
            file, owned = source, False
            if not source.seekable() or isinstance(source, io.TextIOBase):
                raise ValueError("it must be binary and seekable")
            source.seek(0)
    except (AttributeError, BufferError, TypeError, ValueError) as error:
        raise InvalidParameterError(
            "source",
            f"not a usable file: {error}",
            hint="Pass bytes, a path, or a seekable binary file object.",
        ) from error
    try:
        yield file
    finally:
        if owned and isinstance(file, io.IOBase):
            file.close()


def size_of(file: SeekableFile) -> int:
    """Return the length of a file in bytes; the position changes."""
    return file.seek(0, os.SEEK_END)


def read_at(file: SeekableFile, position: int, size: int) -> bytes:
    """Return ``size`` bytes from a position, fewer only at the end of the file.

    Raises
    ------
    InvalidParameterError
        If the file is not binary.
    """
    data = bytearray(size)
    try:
        file.seek(position)
        count = _fill(file, memoryview(data))
    except OverflowError:  # beyond any file
        return b""
    except TypeError as error:  # `read` returns text
        raise InvalidParameterError(
            "source", f"not a usable file: {error}", hint="Open the file in binary mode."
        ) from error
    return bytes(data[:count])


class GuardedFile:
    """A file for libsndfile's callbacks, through which no exception can pass.

    An exception of the file is kept, and `guard` raises it after the call.  Otherwise a network error would
    look like the end of the file.  The object has no ``name``, so that the content determines the format
    instead of the file extension.

    Attributes
    ----------
    size
        The length of the file in bytes.
    reached_end
        Whether libsndfile has tried to read beyond the end.
    """

    def __init__(self, file: SeekableFile) -> None:
        self._file = file
        self.size = size_of(file)
        self.reached_end = False
        self._left_bytes: float = math.inf
        self._error: BaseException | None = None
        file.seek(0)

    def guard(self, call: Callable[[], T]) -> T:
        """Call libsndfile; an exception of the file takes precedence over libsndfile's own error."""
        try:
            return call()
        finally:
            error, self._error = self._error, None
            if error is not None:
                raise error

    def expect(self, size: int) -> None:
        """Announce to a `FetchingFile` how many bytes will be read from the current position."""
        if isinstance(self._file, FetchingFile):
            self._file.expect(size)

    def limit(self, max_bytes: int) -> None:
        """Bound what the decoder may read from now on; beyond it, `guard` raises `ReadLimitError`."""
        self._left_bytes = max_bytes

    def readinto(self, buffer: Any) -> int:
        return self._keep(lambda: self._fill_within_limit(memoryview(buffer).cast("B")), 0)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._keep(lambda: self._seek(offset, whence), self.size)

    def tell(self) -> int:
        return self._keep(lambda: self._file.tell(), self.size)

    def _seek(self, offset: int, whence: int) -> int:
        """Seek; leave the position as it is if the offset is out of range.

        A damaged header can point before the beginning or beyond 2^63; libsndfile checks the position.
        """
        position = self._file.tell()
        target = offset + {os.SEEK_SET: 0, os.SEEK_CUR: position, os.SEEK_END: self.size}[whence]
        if 0 <= target <= MAX_POSITION:
            try:
                return self._file.seek(target)
            except (ValueError, OverflowError, OSError) as error:
                if isinstance(error, OSError) and error.errno not in OUT_OF_RANGE:
                    raise
        return self._file.seek(position)

    def _fill_within_limit(self, view: memoryview) -> int:
        if self._left_bytes <= 0:
            raise ReadLimitError
        done = _fill(self._file, view)
        self.reached_end = self.reached_end or done < len(view)
        self._left_bytes -= max(done, MIN_CHARGE_BYTES)
        return done

    def _keep(self, call: Callable[[], int], at_end: int) -> int:
        """Call the file; after an exception, behave like a file at its end until `guard` raises it.

        libsndfile's readers of chunks repeat forever if reads fail but the position does not move.
        """
        if self._error is None:
            try:
                return call()
            except BaseException as error:  # noqa: BLE001  # `guard` raises it
                self._error = error
        return at_end


def _fill(file: SeekableFile, view: memoryview) -> int:
    """Fill the buffer completely, because libsndfile treats a short read as the end of the file."""
    done = 0
    while done < len(view):
        data = file.read(len(view) - done)
        if not data:
            break
        view[done : done + len(data)] = data
        done += len(data)
    return done


def _open_to_seek(path: str | os.PathLike[str]) -> BinaryIO:
    file = open(path, "rb")  # noqa: SIM115  # closed by `opened`
    if file.seekable():
        return file
    with file:
        return io.BytesIO(file.read())
