"""Read JSON documents in S3, and write them on the condition that nobody else did."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from audio_classifier.errors import ObjectChangedError, RemoteNotFoundError
from audio_classifier.s3.errors import NOT_FOUND, s3_errors
from audio_classifier.s3.location import S3Location


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document, None if the object is not JSON, and the ETag that a later `write` names."""

    document: Any
    etag: str


def read(
    client: Any, location: S3Location, *, missing: Collection[int] = (NOT_FOUND,)
) -> StoredDocument | None:
    """Read a document; None if there is no such object.

    Parameters
    ----------
    client
        boto3's S3 client.
    missing
        HTTP statuses that mean that there is no such object.

    Raises
    ------
    TransferError
        If the object cannot be read; a retry may succeed.
    """
    try:
        with s3_errors(location, missing=missing):
            response = client.get_object(**location.arguments())
            content = response["Body"].read()
    except RemoteNotFoundError:
        return None
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    return StoredDocument(document, response["ETag"])


def write(
    client: Any,
    location: S3Location,
    document: Any,
    *,
    if_match: str | None,
    metadata: Mapping[str, str],
    encryption: Mapping[str, str] | None = None,
) -> bool:
    """Write a document; False, and nothing is written, if the object changed.

    Parameters
    ----------
    if_match
        The ETag of the document to replace; None if the object must not exist yet.
    metadata
        User metadata of the object.
    encryption
        Arguments of ``put_object`` for server-side encryption; the bucket's default if omitted.

    Raises
    ------
    RemoteNotFoundError
        If the bucket does not exist.
    TransferError
        If the object cannot be written; a retry may succeed.
    """
    condition = {"IfNoneMatch": "*"} if if_match is None else {"IfMatch": if_match}
    try:
        with s3_errors(location):
            client.put_object(
                **location.arguments(),
                Body=json.dumps(document, indent=2).encode(),
                ContentType="application/json",
                Metadata=dict(metadata),
                **condition,
                **(encryption or {}),
            )
    except ObjectChangedError:
        return False
    return True
