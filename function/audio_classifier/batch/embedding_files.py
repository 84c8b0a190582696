"""Write files of embeddings: ``.npz`` for programs and `batch.search`, ``.jsonl`` with a line for each patch.

A ``.npz`` file has these arrays, without compression, because codes cannot be compressed:

``embeddings`` (rows, 128) uint8
    The codes; the values are ``(code - 128) / 128``.
``start_s`` (rows,) float64
    Where in its recording each patch begins, in seconds.
``file_index`` (rows,) int32
    The index of the recording in ``files``.
``files`` (recordings,) str
    The names of the recordings.
``bundle_name``, ``bundle_version``, ``bundle_digest`` () str
    The model.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, Protocol

import numpy as np

from audio_classifier.constants import EMBEDDING_SIZE
from audio_classifier.durability import make_directory, sync_directory, sync_file
from audio_classifier.errors import InvalidParameterError, OutputError
from audio_classifier.inference.embeddings import Embeddings, patch_starts_s

CODES, START_S, FILE_INDEX, FILES = "embeddings", "start_s", "file_index", "files"
IDENTITY: Final = ("bundle_name", "bundle_version", "bundle_digest")
ROW_DTYPES: Final[dict[str, np.dtype[Any]]] = {
    CODES: np.dtype(np.uint8),
    START_S: np.dtype("<f8"),
    FILE_INDEX: np.dtype("<i4"),
}
COPIED_BYTES: Final = 1 << 20


class BundleIdentity(NamedTuple):
    """The name, version and digest of the bundle that computed embeddings."""

    name: str
    version: str
    digest: str


class EmbeddingWriter(Protocol):
    """Collects the embeddings of recordings."""

    def add(self, name: str, embeddings: Embeddings) -> None:
        """Add a recording."""

    def finish(self, partial: Path) -> None:
        """Complete the file ``partial``."""

    def close(self) -> None:
        """Release and remove everything else."""


@contextmanager
def written_embeddings(path: Path, bundle: BundleIdentity) -> Iterator[EmbeddingWriter]:
    """Write a file of embeddings, which appears whole when the block ends, or not at all.

    It appears only if recordings were added.  Its folder is created.

    Parameters
    ----------
    path
        Ends with ``.npz`` or ``.jsonl``, and does not exist.

    Raises
    ------
    InvalidParameterError
        If it ends with something else, or exists.
    OutputError
        If it cannot be written.
    """
    if path.suffix not in WRITERS:
        raise InvalidParameterError("output", f"must end with .npz or .jsonl, got {path.name!r}")
    if path.exists():
        raise InvalidParameterError(
            "output", f"{path} exists", hint="Name another file, or remove this one; nothing is added to it."
        )
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        changed = make_directory(path.parent)
        try:
            writer = WRITERS[path.suffix](partial, bundle)
            try:
                yield writer
                writer.finish(partial)
            finally:
                writer.close()
            if partial.exists():
                sync_file(partial)
                partial.replace(path)
                for directory in (path.parent, *changed):
                    sync_directory(directory)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}",
            hint="Free some space, or name another file.",
        ) from error


class _NpzWriter:
    """Collects codes in a file of their own, because the header of an array states their number."""

    def __init__(self, partial: Path, bundle: BundleIdentity) -> None:
        self._bundle = bundle
        self._path = partial.with_name(f"{partial.name}-codes")
        self._codes = self._path.open("w+b")
        self._names: list[str] = []
        self._rows: list[int] = []

    def add(self, name: str, embeddings: Embeddings) -> None:
        self._names.append(name)
        self._rows.append(len(embeddings.codes))
        self._codes.write(embeddings.codes.tobytes())

    def finish(self, partial: Path) -> None:
        if not self._names:
            return
        self._codes.seek(0)
        with zipfile.ZipFile(partial, "w") as archive:
            rows = sum(self._rows)
            with _array(archive, CODES, (rows, EMBEDDING_SIZE)) as out:
                shutil.copyfileobj(self._codes, out, COPIED_BYTES)
            with _array(archive, START_S, (rows,)) as out:
                for count in self._rows:
                    out.write(patch_starts_s(0, count).astype(ROW_DTYPES[START_S]).tobytes())
            with _array(archive, FILE_INDEX, (rows,)) as out:
                for number, count in enumerate(self._rows):
                    out.write(np.full(count, number, ROW_DTYPES[FILE_INDEX]).tobytes())
            texts = dict(zip(IDENTITY, self._bundle, strict=True)) | {FILES: self._names}
            for name, text in texts.items():
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as out:
                    np.lib.format.write_array(out, np.array(text, np.str_), allow_pickle=False)

    def close(self) -> None:
        self._codes.close()
        self._path.unlink(missing_ok=True)


@contextmanager
def _array(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...]) -> Iterator[IO[bytes]]:
    """Begin an array of rows, whose bytes the block writes."""
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as out:
        header = {"descr": ROW_DTYPES[name].str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(out, header)
        yield out


class _JsonLinesWriter:
    """Writes a line for each patch: its file, start, values and bundle."""

    def __init__(self, partial: Path, bundle: BundleIdentity) -> None:
        self._bundle = bundle._asdict()
        self._lines = partial.open("w", encoding="ascii", newline="\n")
        self._is_empty = True

    def add(self, name: str, embeddings: Embeddings) -> None:
        for start_s, values in zip(embeddings.start_s.tolist(), embeddings.values, strict=True):
            line = {"file": name, "start_s": start_s, "values": values.tolist(), "bundle": self._bundle}
            self._lines.write(json.dumps(line) + "\n")
            self._is_empty = False

    def finish(self, partial: Path) -> None:
        self._lines.close()
        if self._is_empty:
            partial.unlink()

    def close(self) -> None:
        self._lines.close()


WRITERS: Final[dict[str, Callable[[Path, BundleIdentity], EmbeddingWriter]]] = {
    ".npz": _NpzWriter,
    ".jsonl": _JsonLinesWriter,
}
