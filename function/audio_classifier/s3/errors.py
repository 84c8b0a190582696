"""Translate botocore's exceptions to those of this package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from audio_classifier.errors import (
    AccessDeniedError,
    ObjectChangedError,
    RemoteNotFoundError,
    TransferError,
)

NOT_FOUND: Final = 404
METHOD_NOT_ALLOWED: Final = 405
CONDITION_FAILED: Final = (409, 412)  # the object changed, or is being written by another request
MISSING_CODES: Final = ("NoSuchKey", "NoSuchVersion")
# A response to HEAD has no body, and botocore then reports the status as the code.
DENIED_CODES: Final = ("AccessDenied", "AccessDeniedException", "401", "403")
# Without s3:ListBucket for the bucket, S3 answers 403 for objects that do not exist.
READ_PERMISSIONS: Final = "s3:GetObject (s3:GetObjectVersion for a version) and s3:ListBucket"
PERMISSIONS: Final[Mapping[str, str]] = {
    "HeadObject": READ_PERMISSIONS,
    "GetObject": READ_PERMISSIONS,
    "PutObject": "s3:PutObject",
    "ListObjectsV2": "s3:ListBucket",
    "HeadBucket": "s3:ListBucket",
    "DescribeEventBus": "events:DescribeEventBus",
    "PutEvents": "events:PutEvents",
}


@contextmanager
def s3_errors(subject: object, *, may_be_missing: bool = True) -> Iterator[None]:
    """Translate what a request to S3, or to EventBridge, raises.

    Only the status 404, the codes in `MISSING_CODES` and delete markers mean that an object does not exist.

    Parameters
    ----------
    subject
        The bucket, object, prefix or event bus; its text begins the message.
    may_be_missing
        False for a new object, whose status 404 concerns its bucket, and for an event bus: what is missing
        is then a `TransferError`.

    Raises
    ------
    RemoteNotFoundError
        If the subject does not exist.
    ObjectChangedError
        If a condition of the request does not hold.
    AccessDeniedError
        If the request was not permitted; the message names the permissions that it needs.
    TransferError
        If the request failed for another reason; a retry may succeed.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _translated(error, subject, may_be_missing=may_be_missing) from error
    except (BotoCoreError, OSError) as error:
        raise TransferError(f"{subject}: {error}") from error


def http_status(error: Exception) -> int | None:
    """Return the status of botocore's ``ClientError``; None if there was no response."""
    status = _metadata(error).get("HTTPStatusCode")
    return status if isinstance(status, int) else None


def _translated(error: Any, subject: object, *, may_be_missing: bool) -> TransferError:
    if may_be_missing and _is_missing(error):
        return RemoteNotFoundError(f"{subject} does not exist")
    if http_status(error) in CONDITION_FAILED:
        return ObjectChangedError(f"{subject} was replaced in the meantime")
    if _code(error) in DENIED_CODES:
        permissions = PERMISSIONS.get(error.operation_name, error.operation_name)
        return AccessDeniedError(f"{subject}: access requires {permissions}: {error}")
    return TransferError(f"{subject}: {error}")


def _is_missing(error: Exception) -> bool:
    status = http_status(error)
    if status == METHOD_NOT_ALLOWED:  # for a delete marker that is requested by its version
        headers = _metadata(error).get("HTTPHeaders", {})
        return str(headers.get("x-amz-delete-marker")).lower() == "true"
    return status == NOT_FOUND or _code(error) in MISSING_CODES


def _code(error: Exception) -> str:
    return str(_response(error).get("Error", {}).get("Code", ""))


def _metadata(error: Exception) -> dict[str, Any]:
    metadata: dict[str, Any] = _response(error).get("ResponseMetadata", {})
    return metadata


def _response(error: Exception) -> dict[str, Any]:
    return getattr(error, "response", None) or {}  # None in connection errors
