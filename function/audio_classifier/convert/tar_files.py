"""Read tar files that may be hostile: their size, headers and number of members are limited."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, Self

MAX_ARCHIVE_BYTES: Final = 2 << 30  # after decompression; the published archive has 0.4 GB
MAX_HEADER_BYTES: Final = 1 << 20
MAX_MEMBERS: Final = 10_000
# Members that describe the next one, and that tarfile reads into memory.
HEADER_TYPES: Final = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
DECOMPRESSORS: Final[Mapping[bytes, Callable[[Path, str], Any]]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
# gzip and bz2 raise OSError.  tarfile raises ValueError for some malformed headers.
ARCHIVE_ERRORS: Final = (
    tarfile.TarError,
    lzma.LZMAError,
    zlib.error,
    ValueError,
    OverflowError,
    EOFError,
    OSError,
)


@contextmanager
def open_tar(path: Path) -> Iterator[Iterator[tuple[tarfile.TarInfo, IO[bytes]]]]:
    """Open a tar file, which may be compressed by gzip, bzip2 or xz.

    Yields
    ------
    The regular files, each with its content, which must be read before the next one is requested.

    Raises
    ------
    tarfile.TarError
        While it is read, if a limit is exceeded; other `ARCHIVE_ERRORS` if the file is malformed.
    """
    with _decompressed(path) as content:
        limited: Any = _LimitedReader(content)
        with tarfile.open(fileobj=limited, mode="r|", bufsize=1 << 20, tarinfo=_LimitedHeader) as tar:
            yield _files(tar)


def _files(tar: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    for number, member in enumerate(tar):
        if number == MAX_MEMBERS:
            raise tarfile.ReadError(f"the archive must have at most {MAX_MEMBERS} members")
        content = tar.extractfile(member) if member.isfile() and not member.issparse() else None
        if content is not None:
            yield member, content


class _LimitedHeader(tarfile.TarInfo):
    """A header that does not describe a long header."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.type in HEADER_TYPES and header.size > MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header must have at most {MAX_HEADER_BYTES} bytes, got {header.size}")
        return header


class _LimitedReader:
    """Decompressed content, of which a limited number of bytes can be read."""

    def __init__(self, content: IO[bytes]) -> None:
        self._content = content
        self._left = MAX_ARCHIVE_BYTES

    def read(self, size: int) -> bytes:
        data = self._content.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise tarfile.ReadError(f"the archive must unpack to at most {MAX_ARCHIVE_BYTES} bytes")
        return data


def _decompressed(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        start = file.read(6)
    open_file: Callable[[Path, str], Any] = next(
        (opener for signature, opener in DECOMPRESSORS.items() if start.startswith(signature)), open
    )
    content: IO[bytes] = open_file(path, "rb")
    return content
