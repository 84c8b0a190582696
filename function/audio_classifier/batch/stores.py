"""Store the results of a batch: in a folder, in a JSON Lines file, or below a prefix in S3.

Each store can look up whether an input has a result already, and writes results whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from audio_classifier.batch.damage import is_damaged
from audio_classifier.batch.file_batch import FileBatch
from audio_classifier.batch.json_lines import JsonLinesStore
from audio_classifier.errors import InvalidParameterError, ResultConflictError
from audio_classifier.inference.record import (
    WRITTEN_BY,
    Result,
    Status,
    is_batch_result,
    result_identity,
    result_status,
)
from audio_classifier.s3 import json_documents
from audio_classifier.s3.client import s3_client
from audio_classifier.s3.errors import s3_errors
from audio_classifier.s3.location import S3Location

MAX_NAME_BYTES: Final = 200  # of each part of a path; most file systems accept 255


class ResultStore(Protocol):
    """Any thread may call `find`; one thread writes.

    Results that were written within the last second may be missing after a power loss, and in a folder also
    after the process was killed.  None is incomplete.
    """

    def find(self, result_key: str, result: Result) -> Status | None:
        """Return the status of the stored result of the same content, model and parameters; None if missing.

        Raises
        ------
        ResultConflictError
            If something other than a result of this input is stored under its key.
        """

    def write(self, result_key: str, result: Result) -> bool:
        """Store a result; False if it was stored in the meantime, as for an input that is named twice.

        Raises
        ------
        ResultConflictError
            As for `find`.
        OSError, TransferError
            If it cannot be written.
        """

    def close(self) -> None:
        """Write what is not on the disk yet, and release the store; nothing is written afterwards.

        Raises
        ------
        OSError
            If it cannot be written.
        """


@dataclass(frozen=True, slots=True)
class Companion:
    """A second file for each result in a folder, in a format of another program.

    Attributes
    ----------
    name
        Returns its path for the key of a result.
    render
        Returns its content for a result.
    """

    name: Callable[[str], str]
    render: Callable[[Result], str]


def open_store(output: str, *, redo: bool = False, companion: Companion | None = None) -> ResultStore:
    """Open a store at ``s3://bucket/prefix/``, in a file ``*.jsonl``, or in a folder, which is created.

    Parameters
    ----------
    redo
        Whether results of earlier runs are replaced: the store contains only what is written from now on.
    companion
        What is also written into a folder.

    Raises
    ------
    InvalidParameterError, OSError, TransferError
        If nothing can be stored there.
    """
    if companion and (output.startswith("s3://") or output.endswith(".jsonl")):
        raise InvalidParameterError(
            "format",
            f"only a folder can also have files of this format, got {output!r}",
            hint="Name a folder with --output.",
        )
    if output.startswith("s3://"):
        return S3Store(output, redo=redo)
    if output.endswith(".jsonl"):
        return JsonLinesStore(Path(output), redo=redo)
    return FolderStore(Path(output), redo=redo, companion=companion)


class FolderStore:
    """A JSON file for each result.  Empty and damaged files, which a power loss may leave, are replaced."""

    def __init__(self, folder: Path, *, redo: bool = False, companion: Companion | None = None) -> None:
        self._finished = _Finished(redo=redo)
        self._folder = folder
        self._companion = companion
        self._files = FileBatch(folder)

    def find(self, result_key: str, result: Result) -> Status | None:
        path = self._path(result_key)
        try:
            content = self._files.read(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ResultConflictError(f"the result cannot be stored at {path}: {error}") from error
        document = json_documents.parse(content)
        if document is None and is_damaged(content):
            return None
        is_final = _is_same(document, result, str(path)) and result_key in self._finished
        is_complete = not self._companion or self._exists(self._companion_path(result_key))
        return result_status(document) if is_final and is_complete else None

    def write(self, result_key: str, result: Result) -> bool:
        if self.find(result_key, result):
            return False
        path = self._path(result_key)
        if self._companion and not self._exists(path) and self._exists(self._companion_path(result_key)):
            raise ResultConflictError(f"{self._companion_path(result_key)} exists, and belongs to no result")
        try:
            self._files.write(path, json.dumps(result, indent=2).encode() + b"\n")
            if self._companion:  # second, so that a file without a result is somebody else's
                self._files.write(self._companion_path(result_key), self._companion.render(result).encode())
        except (FileExistsError, NotADirectoryError) as error:
            raise ResultConflictError(f"the result cannot be stored at {path}: {error}") from error
        self._finished.add(result_key)
        return True

    def close(self) -> None:
        self._files.close()

    def _path(self, result_key: str) -> Path:
        return self._folder / f"{_safe_path(result_key)}.json"

    def _companion_path(self, result_key: str) -> Path:
        assert self._companion
        return self._folder / _safe_path(self._companion.name(result_key))

    def _exists(self, path: Path) -> bool:
        try:
            self._files.read(path)
        except OSError:
            return path.exists()
        return True


class S3Store:
    """An object for each result.

    Raises
    ------
    InvalidParameterError, MissingExtraError, RemoteNotFoundError, TransferError
        If the URI is not ``s3://bucket/prefix/``, or the bucket cannot be accessed.
    """

    def __init__(self, uri: str, *, redo: bool = False) -> None:
        self._finished = _Finished(redo=redo)
        self._bucket, _, self._prefix = uri.removeprefix("s3://").partition("/")
        if not self._bucket or not (self._prefix.endswith("/") or not self._prefix):
            raise InvalidParameterError(
                "output", f"must be s3://bucket/prefix/, got {uri!r}", hint="End with a slash."
            )
        self._client = s3_client()
        with s3_errors(f"s3://{self._bucket}/"):
            self._client.head_bucket(Bucket=self._bucket)

    def find(self, result_key: str, result: Result) -> Status | None:
        existing = json_documents.read(self._client, self._location(result_key))
        if existing is None or not self._is_final(existing.document, result_key, result):
            return None
        return result_status(existing.document)

    def write(self, result_key: str, result: Result) -> bool:
        location = self._location(result_key)
        final = json_documents.replace(  # one request suffices unless an older result exists
            self._client,
            location,
            result,
            existing=None,
            is_final=lambda document: self._is_final(document, result_key, result),
            metadata={WRITTEN_BY: result["model"]["version"]},
        )
        self._finished.add(result_key)
        return final is None

    def close(self) -> None:
        self._client.close()

    def _is_final(self, document: Any, result_key: str, result: Result) -> bool:
        is_same = _is_same(document, result, str(self._location(result_key)))
        return is_same and result_key in self._finished

    def _location(self, result_key: str) -> S3Location:
        return S3Location(self._bucket, f"{self._prefix}{_safe_path(result_key)}.json")


class _Finished:
    """The keys whose stored results are final: all, or, to redo results, those written since."""

    def __init__(self, *, redo: bool) -> None:
        self._written: set[str] | None = set() if redo else None

    def __contains__(self, result_key: str) -> bool:
        return self._written is None or result_key in self._written

    def add(self, result_key: str) -> None:
        if self._written is not None:
            self._written.add(result_key)


def _safe_path(key: str) -> str:
    """Return a path that cannot lead out of its folder: no part of it is special or too long."""
    return "/".join(map(_safe_part, key.encode("utf-8", "backslashreplace").decode().split("/")))


def _safe_part(part: str) -> str:
    if part.strip(".") == "":
        return f"%{part.replace('.', '%2E')}"
    safe = part.replace("\0", "%00")
    if len(safe.encode()) <= MAX_NAME_BYTES:
        return safe
    start = safe.encode()[: MAX_NAME_BYTES // 2].decode(errors="ignore")
    return f"{start}~{hashlib.sha256(safe.encode()).hexdigest()[:32]}"


def _is_same(existing: Any, result: Result, where: str) -> bool:
    """Return whether a stored document is the same result; an older result of the same input is not.

    Raises
    ------
    ResultConflictError
        If it is not a result, or that of another input.
    """
    if not is_batch_result(existing):
        raise ResultConflictError(f"{where} exists, and is not a result")
    if _input_of(existing) != _input_of(result):
        raise ResultConflictError(f"{where} exists, and is the result of another file")
    return result_identity(existing) == result_identity(result)


def _input_of(result: Result) -> list[Any]:
    return [result["source"].get(name) for name in ("file", "bucket", "key", "url")]
