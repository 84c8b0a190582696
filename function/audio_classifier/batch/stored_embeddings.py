"""Read ``.npz`` files of embeddings, whose arrays `batch.embedding_files` describes, block by block."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_classifier.batch.embedding_files import (
    CODES,
    FILE_INDEX,
    FILES,
    IDENTITY,
    ROW_DTYPES,
    START_S,
    BundleIdentity,
)
from audio_classifier.constants import EMBEDDING_SIZE
from audio_classifier.errors import InvalidParameterError

# What zipfile and numpy raise if an archive is damaged, encrypted, compressed in another way, or too large.
ARCHIVE_ERRORS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    OSError,  # of bz2, which has no number
    KeyError,
    ValueError,
    EOFError,
    RuntimeError,  # NotImplementedError is one
    MemoryError,
)


class Rows(NamedTuple):
    """Consecutive rows of a file: ``(rows, 128)`` codes, their start times in seconds, and their files."""

    codes: NDArray[np.uint8]
    start_s: NDArray[np.float64]
    file_index: NDArray[np.int32]


class StoredEmbeddings:
    """A ``.npz`` file of embeddings, of whose rows one block at a time is in memory.

    Attributes
    ----------
    bundle
        The bundle that computed the embeddings.
    files
        The names of the recordings.
    rows
        The number of patches.

    Raises
    ------
    InvalidParameterError
        If it is not such a file.
    OSError
        If it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with _readable(path), zipfile.ZipFile(path) as archive:
            self.bundle = BundleIdentity(*(str(_small_array(archive, name)) for name in IDENTITY))
            self.files: list[str] = _small_array(archive, FILES).tolist()
            shapes = {}
            for name in ROW_DTYPES:
                with archive.open(f"{name}.npy") as data:
                    shapes[name] = _read_header(data, name)
            self.rows = shapes[CODES][0]
            row_shapes = {CODES: (self.rows, EMBEDDING_SIZE), START_S: (self.rows,), FILE_INDEX: (self.rows,)}
            if shapes != row_shapes:
                raise ValueError(f"the shapes of its arrays are {shapes}")

    def blocks(self, rows: int) -> Generator[Rows, None, None]:
        """Yield all rows in their order, in blocks of at most ``rows``.

        Raises
        ------
        InvalidParameterError
            If the file is damaged.
        """
        with _readable(self._path), ExitStack() as stack:
            archive = stack.enter_context(zipfile.ZipFile(self._path))
            members = [stack.enter_context(archive.open(f"{name}.npy")) for name in ROW_DTYPES]
            for name, member in zip(ROW_DTYPES, members, strict=True):
                _read_header(member, name)
            for begin in range(0, self.rows, rows):
                count = min(rows, self.rows - begin)
                codes, start_s, file_index = (
                    _read_rows(member, dtype, count * (EMBEDDING_SIZE if name == CODES else 1))
                    for member, (name, dtype) in zip(members, ROW_DTYPES.items(), strict=True)
                )
                if file_index.min() < 0 or file_index.max() >= len(self.files):
                    raise ValueError("a row belongs to a recording that is not in files")
                yield Rows(codes.reshape(count, EMBEDDING_SIZE), start_s, file_index)
            # zipfile verifies the checksum of compressed data at its end only.
            if any(member.read(1) for member in members):
                raise ValueError("an array is longer than its header states")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn the errors of damaged and other files into one."""
    try:
        yield
    except ARCHIVE_ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:  # the file cannot be opened or read
            raise
        raise InvalidParameterError(
            "embeddings",
            f"{path} is not a file of embeddings, or damaged: {error}",
            hint="Write the file again from the recordings.",
        ) from error


def _small_array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with archive.open(f"{name}.npy") as data:
        array: NDArray[Any] = np.lib.format.read_array(data, allow_pickle=False)
    if array.dtype.kind != "U" or array.ndim != (name == FILES):
        raise ValueError(f"{name} has the type {array.dtype} and the shape {array.shape}")
    return array


def _read_header(data: IO[bytes], name: str) -> tuple[int, ...]:
    """Read the header of an array of rows, and return its shape."""
    version = np.lib.format.read_magic(data)
    if version != (1, 0):
        raise ValueError(f"{name} has the format version {version}")
    shape, is_fortran_ordered, dtype = np.lib.format.read_array_header_1_0(data)
    if dtype != ROW_DTYPES[name] or is_fortran_ordered or not shape:
        raise ValueError(f"{name} has the type {dtype} and the shape {shape}")
    return tuple(shape)


def _read_rows(data: IO[bytes], dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    content = data.read(count * dtype.itemsize)
    if len(content) < count * dtype.itemsize:
        raise EOFError("an array is shorter than its header states")
    return np.frombuffer(content, dtype)
