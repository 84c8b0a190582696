"""The model bundle: a directory with a manifest and the files that it lists, verified before use."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from audio_classifier.durability import make_directory, sync_directory, sync_tree
from audio_classifier.errors import BundleCorruptError, BundleInvalidError, BundleNotFoundError
from audio_classifier.model.manifest import MANIFEST, FileEntry, Manifest, plain_name

FileContent: TypeAlias = Path | bytes | Mapping[str, NDArray[Any]]
"""A file to copy, bytes to write, or arrays to store as ``.npz``."""

MAX_ARRAYS_BYTES: Final = 1 << 30  # uncompressed
# Pieces are large because a thread that imports modules can hold the GIL for 5 ms between two of them.
HASH_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle.

    Attributes
    ----------
    directory
        The directory of the files.
    manifest
        The parsed manifest.
    digest
        SHA-256 of the manifest's bytes.  They contain the hash of every file, so it identifies the model.
    """

    directory: Path
    manifest: Manifest
    digest: str

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open a directory after verifying it against its manifest.

        Raises
        ------
        BundleNotFoundError
            If there is no manifest.
        BundleInvalidError
            If the manifest is invalid.
        BundleCorruptError
            If a file is missing, or its size or hash differs from the manifest.
        """
        data = require_manifest(directory)
        manifest = Manifest.parse(data, str(directory))
        for entry in manifest.files:
            _verify_file(directory, entry)
        return cls(directory, manifest, hashlib.sha256(data).hexdigest())

    def path(self, name: str) -> Path:
        """Return the path of one of its files."""
        return self.directory / name

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Load the arrays of one of its ``.npz`` files."""
        return load_arrays(self.path(name))

    def copy_to(self, directory: Path) -> None:
        """Copy the bundle to a new directory, which appears complete or not at all.

        Raises
        ------
        BundleInvalidError
            If the directory exists.
        """
        with atomic_directory(directory) as partial:
            for name in (MANIFEST, *(entry.path for entry in self.manifest.files)):
                shutil.copyfile(self.path(name), partial / name)


def require_manifest(directory: Path) -> bytes:
    """Return the manifest of a bundle.

    Raises
    ------
    BundleNotFoundError
        If it cannot be read.
    """
    try:
        return (directory / MANIFEST).read_bytes()
    except OSError as error:
        raise BundleNotFoundError(
            f"no model bundle in {directory}: {MANIFEST}: {error.strerror}",
            hint="Use `compact`, the directory of a bundle, or an https:// or s3:// URI.",
        ) from error


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Load a ``.npz`` file of finite numbers without executing anything in it.

    Raises
    ------
    BundleInvalidError
        If it is not such an archive, or unpacks to more than `MAX_ARRAYS_BYTES`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MAX_ARRAYS_BYTES:
            raise BundleInvalidError(
                f"{path.name} must unpack to at most {MAX_ARRAYS_BYTES} bytes, got {size}"
            )
        with np.load(path, allow_pickle=False) as arrays:
            loaded = {name: arrays[name] for name in arrays.files}
    except BundleInvalidError:
        raise
    except Exception as error:  # zipfile, zlib and numpy's header parser raise many kinds of exceptions
        raise BundleInvalidError(f"{path.name} is not an archive of plain arrays: {error}") from error
    for name, array in loaded.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise BundleInvalidError(f"{path.name}: {name} must contain only finite numbers")
    return loaded


def write_bundle(directory: Path, files: Mapping[str, FileContent], **manifest: Any) -> Bundle:
    """Write a bundle, which appears complete at ``directory`` or not at all.

    Parameters
    ----------
    directory
        The new directory, which must not exist yet.
    files
        Content by file name.
    manifest
        The fields of `Manifest` except ``files``.

    Raises
    ------
    BundleInvalidError
        If the directory exists, or a file name or manifest field is invalid.
    """
    try:
        names = sorted(map(plain_name, files))
        with atomic_directory(directory) as partial:
            for name in names:
                _write_file(partial / name, files[name])
            entries = tuple(_describe(partial, name) for name in names)
            text = Manifest(**manifest, files=entries).model_dump_json(indent=2)
            (partial / MANIFEST).write_text(text + "\n", encoding="utf-8")
    except ValueError as error:  # pydantic's ValidationError is one
        raise BundleInvalidError(f"invalid file names or manifest fields: {error}") from error
    return Bundle.open(directory)


def check_absent(directory: Path) -> None:
    """Raise `BundleInvalidError` if the directory exists."""
    if directory.exists():
        raise BundleInvalidError(
            f"{directory} already exists", hint="Choose a new directory, or remove the existing one."
        )


@contextmanager
def atomic_directory(directory: Path) -> Iterator[Path]:
    """Create a directory that is renamed to ``directory`` if the block succeeds, and removed otherwise.

    After a power loss, too, the directory is complete or does not exist.

    Raises
    ------
    BundleInvalidError
        If ``directory`` exists before or after the block.
    """
    check_absent(directory)
    changed = make_directory(directory.parent)
    partial = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        yield partial
        check_absent(directory)
        partial.chmod(0o755)  # mkdtemp's 0700 would hide a bundle from the user that serves it
        sync_tree(partial)
        partial.rename(directory)  # fails if another process was faster
        for parent in (directory.parent, *changed):
            sync_directory(parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def hash_file(path: Path, algorithm: str) -> str:
    """Hash a file without loading it into memory, and return the digest in hexadecimal."""
    digest = hashlib.new(algorithm)
    with path.open("rb", buffering=0) as file:
        buffer = np.empty(HASH_BYTES, np.uint8).data  # only the part that is read into takes memory
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()


def _write_file(target: Path, content: FileContent) -> None:
    if isinstance(content, Path):
        shutil.copyfile(content, target)
    elif isinstance(content, bytes):
        target.write_bytes(content)
    else:
        np.savez(target, **content)  # type: ignore[arg-type]  # the stub mistakes arrays for `allow_pickle`


def _describe(directory: Path, name: str) -> FileEntry:
    path = directory / name
    return FileEntry(path=name, size=path.stat().st_size, sha256=hash_file(path, "sha256"))


def _verify_file(directory: Path, entry: FileEntry) -> None:
    path = directory / entry.path
    if not path.is_file():
        raise BundleCorruptError(f"{directory}: {entry.path} is missing")
    if path.resolve().parent != directory.resolve():
        raise BundleCorruptError(f"{directory}: {entry.path} is a link to a file outside the bundle")
    actual = _describe(directory, entry.path)
    if actual.size != entry.size:
        raise BundleCorruptError(
            f"{path}: expected {entry.size} bytes according to {MANIFEST}, got {actual.size}"
        )
    if actual.sha256 != entry.sha256:
        raise BundleCorruptError(
            f"{path}: expected SHA-256 {entry.sha256} according to {MANIFEST}, got {actual.sha256}"
        )
