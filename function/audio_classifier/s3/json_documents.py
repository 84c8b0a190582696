"""Read JSON documents from S3, and write them only if they have not changed since."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from audio_classifier.errors import ObjectChangedError, RemoteNotFoundError, TransferError
from audio_classifier.s3.errors import s3_errors
from audio_classifier.s3.location import S3Location

WRITE_ATTEMPTS: Final = 3
MAX_DOCUMENT_BYTES: Final = 64 << 20
MAX_NESTING: Final = 64  # far from Python's own limit, which depends on the caller


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A stored object: its document (None if it is not JSON; see `parse`), and its ETag for `write`."""

    document: Any
    etag: str


def read(client: Any, location: S3Location) -> StoredDocument | None:
    """Read a document; None if there is no such object.

    Parameters
    ----------
    client
        boto3's S3 client.

    Raises
    ------
    AccessDeniedError
        If the object may not be read, or cannot be distinguished from one that does not exist.
    TransferError
        If the object cannot be read for another reason; a retry may succeed.
    """
    try:
        with s3_errors(location):
            response = client.get_object(**location.arguments())
            with closing(response["Body"]) as body:
                content = body.read() if response["ContentLength"] <= MAX_DOCUMENT_BYTES else b""
    except RemoteNotFoundError:
        return None
    return StoredDocument(parse(content), response["ETag"])


def parse(content: bytes) -> Any:
    """Parse JSON that another program may have written.

    Returns
    -------
    The document; None if it is not JSON, contains NaN or an infinity, which JSON does not represent, or is
    nested more than `MAX_NESTING` deep.
    """
    try:
        document = json.loads(content)
        json.dumps(document, allow_nan=False)
    except (RecursionError, ValueError):
        return None
    return document if _is_shallow(document) else None


def write(
    client: Any,
    location: S3Location,
    document: Any,
    *,
    if_match: str | None,
    metadata: Mapping[str, str],
    encryption: Mapping[str, str] | None = None,
) -> bool:
    """Write a document; return False, without writing, if the object changed.

    Parameters
    ----------
    client
        boto3's S3 client.
    location
        Where to write it.
    document
        Anything that JSON represents.
    if_match
        The ETag of the document to replace; None if the object must not exist yet.
    metadata
        User metadata of the object.
    encryption
        Arguments of ``put_object`` for server-side encryption; the bucket's default if omitted.

    Raises
    ------
    TransferError
        If the object cannot be written; a retry may succeed.
    """
    condition = {"IfNoneMatch": "*"} if if_match is None else {"IfMatch": if_match}
    try:
        with s3_errors(location, may_be_missing=if_match is not None):
            client.put_object(
                **location.arguments(),
                Body=json.dumps(document, indent=2).encode(),
                ContentType="application/json",
                Metadata=dict(metadata),
                **condition,
                **(encryption or {}),
            )
    except (ObjectChangedError, RemoteNotFoundError):  # replaced or deleted
        return False
    return True


def replace(
    client: Any,
    location: S3Location,
    document: Any,
    *,
    existing: StoredDocument | None,
    is_final: Callable[[Any], bool],
    metadata: Mapping[str, str],
    encryption: Mapping[str, str] | None = None,
) -> StoredDocument | None:
    """Write a document in place of ``existing``, unless a final one is stored in the meantime.

    Parameters
    ----------
    existing
        What was read before; None if there was no object, or it was not read.
    is_final
        Whether a document that is stored must stay.
    metadata, encryption
        See `write`.

    Returns
    -------
    The final document that another writer stored; None if this one was written.

    Raises
    ------
    TransferError
        If the object cannot be read or written; a retry may succeed.
    """
    for _ in range(WRITE_ATTEMPTS):
        etag = existing.etag if existing else None
        if write(client, location, document, if_match=etag, metadata=metadata, encryption=encryption):
            return None
        existing = read(client, location)
        if existing is not None and is_final(existing.document):
            return existing
    raise TransferError(f"{location}: other writers keep replacing it")


def _is_shallow(document: Any) -> bool:
    level = [document]
    for _ in range(MAX_NESTING):
        level = [child for value in level for child in _children(value)]
    return not level


def _children(value: Any) -> Collection[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
