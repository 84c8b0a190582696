"""Where results of many files are kept: a folder, a file of JSON lines, a prefix in S3.

Each can tell whether the result of a sound is there already, and writes results whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import uuid4

from audio_classifier.batch.json_lines import LinesStore
from audio_classifier.errors import InvalidParameterError, PlaceTakenError, RemoteNotFoundError, TransferError
from audio_classifier.inference.record import LOST_RACE, WRITTEN_BY, Result, identity_of
from audio_classifier.s3.client import http_status, s3_client

MAX_NAME_BYTES: Final = 200  # of each part of a path; most file systems take 255


class ResultStore(Protocol):
    """Any thread may ask `has`; one thread writes."""

    def has(self, place: str, result: Result) -> bool:
        """Whether a result of the same content, model and parameters is there.

        Raises
        ------
        PlaceTakenError
            If another sound's result stands where this one's belongs.
        """

    def write(self, place: str, result: Result) -> bool:
        """Store a result for good; False if one was there by now, as of a sound that is named twice.

        Raises
        ------
        PlaceTakenError
            As `has`.
        OSError, TransferError
            If it cannot be written.
        """

    def close(self) -> None:
        """Nothing more is written."""


def open_store(where: str) -> ResultStore:
    """A store at ``s3://bucket/prefix/``, in a file ``*.jsonl``, or in a folder, which is made if need be.

    Raises
    ------
    InvalidParameterError, OSError, TransferError
        If nothing can be stored there.
    """
    if where.startswith("s3://"):
        return BucketStore(where)
    return LinesStore(Path(where)) if where.endswith(".jsonl") else FolderStore(Path(where))


class FolderStore:
    """A JSON file for each result, written beside its place and renamed."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._partial = folder / f".partial-{uuid4()}"  # one process's own, whichever machine it is on
        self._partial.write_bytes(b"")  # says now whether anything can be written
        self._partial.unlink()

    def has(self, place: str, result: Result) -> bool:
        try:
            content = self._path(place).read_bytes()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise PlaceTakenError(f"its result cannot stand at {self._path(place)}: {error}") from error
        return _is_of(content, result, str(self._path(place)))

    def write(self, place: str, result: Result) -> bool:
        if self.has(place, result):
            return False
        path = self._path(place)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise PlaceTakenError(f"its result cannot stand at {path}: {error}") from error
        try:
            self._partial.write_text(json.dumps(result, indent=2) + "\n", encoding="ascii")
            self._partial.replace(path)
        finally:
            self._partial.unlink(missing_ok=True)
        return True

    def close(self) -> None:
        pass

    def _path(self, place: str) -> Path:
        return self._folder / f"{_plain(place)}.json"


class BucketStore:
    """An object for each result.

    Raises
    ------
    InvalidParameterError, MissingExtraError, RemoteNotFoundError, TransferError
        If it is no ``s3://bucket/prefix/``, or there is no such bucket.
    """

    def __init__(self, uri: str) -> None:
        self._bucket, _, self._prefix = uri.removeprefix("s3://").partition("/")
        if not self._bucket or not (self._prefix.endswith("/") or not self._prefix):
            raise InvalidParameterError(
                "output", f"{uri!r} is not s3://bucket/prefix/", hint="End in a slash."
            )
        self._client = s3_client()
        self._call(self._client.head_bucket)

    def has(self, place: str, result: Result) -> bool:
        key = self._key(place)
        try:
            content = self._call(lambda **where: self._client.get_object(**where)["Body"].read(), Key=key)
        except RemoteNotFoundError:
            return False
        return _is_of(content, result, f"s3://{self._bucket}/{key}")

    def write(self, place: str, result: Result) -> bool:
        # Mostly nothing stands there: then one call is enough.
        return self._put(place, result, IfNoneMatch="*") or (
            not self.has(place, result) and self._put(place, result)
        )

    def close(self) -> None:
        self._client.close()

    def _put(self, place: str, result: Result, **condition: str) -> bool:
        try:
            self._call(
                self._client.put_object,
                Key=self._key(place),
                Body=json.dumps(result, indent=2).encode(),
                ContentType="application/json",
                Metadata={WRITTEN_BY: result["model"]["version"]},
                **condition,
            )
        except TransferError as error:
            if condition and http_status(error.__cause__) in LOST_RACE:
                return False
            raise
        return True

    def _key(self, place: str) -> str:
        return f"{self._prefix}{_plain(place)}.json"

    def _call(self, call: Any, **arguments: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        where = f"s3://{self._bucket}/{arguments.get('Key', '')}"
        try:
            return call(Bucket=self._bucket, **arguments)
        except (BotoCoreError, ClientError) as error:
            if http_status(error) == 404:
                raise RemoteNotFoundError(f"{where}: there is no such bucket or object") from error
            raise TransferError(f"{where}: {error}") from error


def _plain(place: str) -> str:
    """A path that leads nowhere else, whatever the name: each part by itself, none too long or special."""
    return "/".join(map(_plain_part, place.encode("utf-8", "backslashreplace").decode().split("/")))


def _plain_part(part: str) -> str:
    if part.strip(".") == "":
        return f"%{part.replace('.', '%2E')}"
    plain = part.replace("\0", "%00")
    if len(plain.encode()) <= MAX_NAME_BYTES:
        return plain
    start = plain.encode()[: MAX_NAME_BYTES // 2].decode(errors="ignore")
    return f"{start}~{hashlib.sha256(plain.encode()).hexdigest()[:32]}"


def _is_of(content: bytes, result: Result, where: str) -> bool:
    """Whether what stands there is the same result, rather than an older one of the same sound."""
    try:
        standing = json.loads(content)
        other = [standing["source"].get(name) for name in ("file", "bucket", "key")]
        same = identity_of(standing) == identity_of(result)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise PlaceTakenError(f"its result belongs at {where}, where something else stands") from error
    if other != [result["source"].get(name) for name in ("file", "bucket", "key")]:
        raise PlaceTakenError(f"its result belongs at {where}, where that of another file stands")
    return same
