"""The model bundle: a directory with a manifest and the files that it lists, verified before it is loaded."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from audio_classifier.errors import BundleCorruptError, BundleInvalidError, BundleNotFoundError

FileContent: TypeAlias = Path | bytes | Mapping[str, NDArray[Any]]
"""A file to copy, bytes to write, or arrays to store as ``.npz``."""

MANIFEST: Final = "manifest.json"
EMBEDDING: Final = "embedding.tflite"
POSTPROCESS: Final = "postprocess.npz"
HEAD: Final = "head.npz"
LABELS: Final = "labels.csv"
FILES: Final = (EMBEDDING, POSTPROCESS, HEAD, LABELS)
MAX_MANIFEST_BYTES: Final = 1 << 20
MAX_ARRAYS_BYTES: Final = 1 << 30  # unpacked
# At once: between pieces, a thread that imports modules keeps Python's lock, up to 5 ms each time.
HASH_BYTES: Final = 16 << 20


def _plain_name(path: str) -> str:
    """A bundle is flat: a name that no system reads as a path to somewhere else."""
    if not re.fullmatch(r"\w[\w.-]{0,99}", path, re.ASCII):
        raise ValueError(f"{path!r} is no plain name of a file")
    if path.lower() == MANIFEST:
        raise ValueError("the manifest cannot list itself")
    return path


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileEntry(_Model):
    """One file of a bundle: where it is, how long, and what it hashes to."""

    path: Annotated[str, AfterValidator(_plain_name)]
    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Source(_Model):
    """Something that a bundle was made from."""

    name: str
    origin: str = ""
    sha512: str = ""
    verified: bool | None = None  # against a published checksum; None where there is none


class Manifest(_Model):
    """What ``manifest.json`` says."""

    schema_version: Literal[1] = 1
    name: str
    version: str
    description: str
    licence: str
    precision: Literal["float32", "float16", "int8"] = "float32"  # of the embedding network's weights
    provenance: tuple[Source, ...] = ()
    metrics: dict[str, Any] = {}
    files: tuple[FileEntry, ...]

    @field_validator("files")
    @classmethod
    def _complete(cls, files: tuple[FileEntry, ...]) -> tuple[FileEntry, ...]:
        paths = [entry.path for entry in files]
        if len(set(paths)) < len(paths):
            raise ValueError("a file is listed twice")
        if missing := set(FILES) - set(paths):
            raise ValueError(f"{', '.join(sorted(missing))} must be listed")
        return files

    @classmethod
    def parse(cls, data: bytes, place: str) -> Self:
        """Parse the bytes of a manifest; ``place`` is named in errors.

        Raises
        ------
        BundleInvalidError
            If it is no manifest, or one of another schema version.
        """
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise BundleInvalidError(
                f"{place}: {MANIFEST} is invalid{' at ' + where if where else ''}: {first['msg']}",
                hint="It may have been made by another version of this package.",
            ) from error


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle.

    Attributes
    ----------
    directory
        Where its files are.
    manifest
        What it says of itself.
    digest
        SHA-256 of the manifest's bytes, which hold every file's: it names exactly this model.
    """

    directory: Path
    manifest: Manifest
    digest: str

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Verify a directory against its manifest.

        Raises
        ------
        BundleNotFoundError
            If there is no manifest.
        BundleInvalidError
            If the manifest makes no sense.
        BundleCorruptError
            If a file is missing, of another size, or hashes to something else.
        """
        try:
            data = (directory / MANIFEST).read_bytes()
        except OSError as error:
            raise BundleNotFoundError(
                f"{directory} is no model bundle: {MANIFEST}: {error.strerror}",
                hint="Name a bundle's directory, `compact`, or an https:// or s3:// place.",
            ) from error
        manifest = Manifest.parse(data, str(directory))
        for entry in manifest.files:
            _verify_file(directory, entry)
        return cls(directory, manifest, hashlib.sha256(data).hexdigest())

    def path(self, name: str) -> Path:
        """Where one of its files is."""
        return self.directory / name

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """The arrays of one of its ``.npz`` files."""
        return load_arrays(self.path(name))

    def copy_to(self, directory: Path) -> None:
        """Copy it to a new directory, which appears whole or not at all.

        Raises
        ------
        BundleInvalidError
            If the place is taken.
        """
        with appearing(directory) as partial:
            for name in (MANIFEST, *(entry.path for entry in self.manifest.files)):
                shutil.copyfile(self.path(name), partial / name)


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Load a ``.npz`` file of finite numbers; nothing in it is ever executed.

    Raises
    ------
    BundleInvalidError
        If it is no such archive, or holds more than `MAX_ARRAYS_BYTES`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MAX_ARRAYS_BYTES:
            raise BundleInvalidError(f"{path.name} holds {size} bytes, more than {MAX_ARRAYS_BYTES}")
        with np.load(path, allow_pickle=False) as arrays:
            loaded = {name: arrays[name] for name in arrays.files}
    except BundleInvalidError:
        raise
    except Exception as error:  # zipfile, zlib and numpy's header parser raise a dozen kinds
        raise BundleInvalidError(f"{path.name} is no archive of plain arrays: {error}") from error
    for name, array in loaded.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise BundleInvalidError(f"{path.name}: {name} holds something else than finite numbers")
    return loaded


def write_bundle(directory: Path, files: Mapping[str, FileContent], **manifest: Any) -> Bundle:
    """Write a bundle; it appears whole at ``directory`` or not at all.

    Parameters
    ----------
    directory
        Must not exist yet.
    files
        Content by name.
    manifest
        The fields of `Manifest` but for ``files``.

    Raises
    ------
    BundleInvalidError
        If the place is taken, or the fields make no manifest.
    """
    try:
        names = sorted(map(_plain_name, files))
        with appearing(directory) as partial:
            for name in names:
                _write_file(partial / name, files[name])
            entries = tuple(_describe(partial, name) for name in names)
            text = Manifest(**manifest, files=entries).model_dump_json(indent=2)
            (partial / MANIFEST).write_text(text + "\n", encoding="utf-8")
    except ValueError as error:  # pydantic's ValidationError is one
        raise BundleInvalidError(f"these make no manifest: {error}") from error
    return Bundle.open(directory)


def check_free(directory: Path) -> None:
    """Raise `BundleInvalidError` if there is something at the place already."""
    if directory.exists():
        raise BundleInvalidError(
            f"{directory} exists already", hint="Name a new directory, or remove that one."
        )


@contextmanager
def appearing(directory: Path) -> Iterator[Path]:
    """A new directory that becomes ``directory`` by one rename when the block ends well, and else vanishes.

    Raises
    ------
    BundleInvalidError
        If ``directory`` exists, at the beginning or at the end.
    """
    check_free(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        yield partial
        check_free(directory)
        partial.chmod(0o755)  # mkdtemp's 0700 would hide a bundle from the user that serves it
        partial.rename(directory)  # fails if somebody else was faster
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def hash_file(path: Path, algorithm: str) -> str:
    """Hash a file without holding it in memory; the digest in hexadecimal."""
    digest = hashlib.new(algorithm)
    with path.open("rb", buffering=0) as file:
        buffer = np.empty(HASH_BYTES, np.uint8).data  # of which only what is read into takes memory
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()


def _write_file(target: Path, content: FileContent) -> None:
    if isinstance(content, Path):
        shutil.copyfile(content, target)
    elif isinstance(content, bytes):
        target.write_bytes(content)
    else:
        np.savez(target, **content)  # type: ignore[arg-type]  # the stub takes an array for `allow_pickle`


def _describe(directory: Path, name: str) -> FileEntry:
    path = directory / name
    return FileEntry(path=name, size=path.stat().st_size, sha256=hash_file(path, "sha256"))


def _verify_file(directory: Path, entry: FileEntry) -> None:
    path = directory / entry.path
    if not path.is_file():
        raise BundleCorruptError(f"{directory}: {entry.path} is missing")
    if path.resolve().parent != directory.resolve():
        raise BundleCorruptError(f"{directory}: {entry.path} is a link to somewhere else")
    actual = _describe(directory, entry.path)
    if actual.size != entry.size:
        raise BundleCorruptError(f"{path}: {actual.size} bytes, not {entry.size} as {MANIFEST} says")
    if actual.sha256 != entry.sha256:
        raise BundleCorruptError(f"{path}: SHA-256 is {actual.sha256}, not {entry.sha256} as {MANIFEST} says")
